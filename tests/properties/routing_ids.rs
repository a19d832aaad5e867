//! P12: a routing id names one connection.

use proptest::prelude::*;
use sinew::{Dealer, Router, RoutingId, SendErrorKind};

use crate::support::within;
use crate::{cases, medium, run, until};

#[derive(Debug, Clone)]
enum Visit {
    /// A peer of this name comes, or leaves if it is there.
    Name(usize),
    /// A message to the connection that this many visits ago had been heard of.
    Reply(usize),
    /// A message to whoever has this name.
    Call(usize),
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn p12_d26_what_is_for_one_connection_never_reaches_a_newcomer_of_its_name(
        medium in medium(),
        visits in prop::collection::vec(
            prop_oneof![
                (0..3usize).prop_map(Visit::Name),
                (0..20usize).prop_map(Visit::Reply),
                (0..3usize).prop_map(Visit::Call),
            ],
            1..60,
        ),
    ) {
        run(false, async {
            let router = Router::builder().mandatory(true).build().unwrap();
            let addr = router.bind(medium.any()).await.unwrap();
            let mut present: [Option<(usize, Dealer)>; 3] = [None, None, None];
            let mut known: Vec<(usize, RoutingId)> = Vec::new();
            for visit in visits {
                match visit {
                    Visit::Name(name) => match present[name].take() {
                        Some((_, dealer)) => {
                            within("a dealer to close", dealer.close()).await;
                            let there = present.iter().flatten().count();
                            until("its leaving to be seen", || router.stats().peers.len() == there).await;
                        }
                        None => {
                            let generation = known.len();
                            let dealer = Dealer::builder().routing_id(format!("peer {name}")).build().unwrap();
                            dealer.connect(&addr).await.unwrap();
                            dealer.try_send(generation.to_string()).unwrap();
                            let (id, message) = within("its first message", router.recv()).await.unwrap();
                            assert_eq!(message, generation.to_string().as_str());
                            assert_eq!(id.as_ref(), format!("peer {name}").as_bytes());
                            known.push((name, id));
                            present[name] = Some((generation, dealer));
                        }
                    },
                    Visit::Reply(ago) => {
                        let Some(generation) = known.len().checked_sub(ago + 1) else { continue };
                        let (name, id) = &known[generation];
                        let sent = router.try_send(id, generation.to_string());
                        match &present[*name] {
                            Some((current, dealer)) if *current == generation => {
                                sent.unwrap();
                                let reply = within("the reply", dealer.recv()).await.unwrap();
                                assert_eq!(reply, generation.to_string().as_str());
                            }
                            _ => assert_eq!(sent.unwrap_err().kind(), SendErrorKind::Unroutable),
                        }
                    }
                    Visit::Call(name) => {
                        let sent = router.try_send(format!("peer {name}"), "call");
                        match &present[name] {
                            Some((_, dealer)) => {
                                sent.unwrap();
                                assert_eq!(within("the call", dealer.recv()).await.unwrap(), "call");
                            }
                            None => assert_eq!(sent.unwrap_err().kind(), SendErrorKind::Unroutable),
                        }
                    }
                }
                for (generation, dealer) in present.iter().flatten() {
                    assert!(dealer.try_recv().is_err(), "{generation} got what was not for it");
                }
            }
        });
    }
}
