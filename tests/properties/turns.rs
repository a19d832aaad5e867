//! P6, P7: taking turns.

use proptest::prelude::*;
use sinew::{Message, Pull, Push, SendErrorKind};
use tokio::task::yield_now;

use crate::support::within;
use crate::{Medium, Pair, cases, medium, run, until};

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn p6_equally_ready_peers_are_received_from_in_turn(
        medium in medium(),
        counts in prop::collection::vec(0..40u32, 2..5),
        batch in 1..8usize,
    ) {
        run(false, async {
            let pull = Pull::new();
            let addr = pull.bind(medium.any()).await.unwrap();
            let mut pushers = Vec::new();
            for (who, &count) in counts.iter().enumerate() {
                let push = Push::new();
                push.connect(&addr).await.unwrap();
                for n in 0..count {
                    push.try_send(format!("{who} {n}")).unwrap();
                }
                pushers.push(push);
            }
            let all: u32 = counts.iter().sum();
            if medium != Medium::Inproc {
                until("all to be there", || pull.stats().unread == u64::from(all)).await;
            }
            let mut received = Vec::new();
            while received.len() < all as usize {
                if received.len() % 2 == 0 {
                    received.push(within("a message", pull.recv()).await.unwrap());
                } else {
                    within("messages", pull.recv_many(&mut received, batch)).await.unwrap();
                }
            }
            let mut left = counts.clone();
            let mut had = vec![0u32; counts.len()];
            for message in received {
                let (who, n) = message.to_str_pair();
                let who = who as usize;
                assert_eq!(n, had[who], "in order");
                had[who] += 1;
                left[who] -= 1;
                for other in (0..counts.len()).filter(|&other| left[other] > 0) {
                    assert!(had[who] <= had[other] + 1, "{who} before {other}: {had:?}");
                }
            }
            assert_eq!(had, counts);
        });
    }

    #[test]
    fn p7_full_peers_are_skipped_and_none_is_starved(
        medium in prop::sample::select(vec![Medium::Inproc, Medium::Ipc]),
        hwm in 1..5usize,
        peers in 2..5usize,
        drained in prop::collection::vec(0..5usize, 1..20),
    ) {
        run(false, async {
            let push = Push::builder().send_hwm(hwm).build().unwrap();
            let addr = push.bind(medium.any()).await.unwrap();
            let pullers: Vec<_> =
                (0..peers).map(|_| Pull::builder().recv_hwm(1).build().unwrap()).collect();
            for pull in &pullers {
                pull.connect(&addr).await.unwrap();
            }
            within("the peers", push.wait_for_peers(peers)).await.unwrap();
            let (mut accepted, mut received) = (0, 0);
            // Large enough that a kernel's buffer holds two or three.
            let message = Message::from(vec![0u8; 100_000]);
            let fill = async |accepted: &mut usize| {
                // Full for good: whatever a connection could still write, it has.
                let mut full = 0;
                while full < 20 {
                    match push.try_send(message.clone()) {
                        Ok(()) => {
                            *accepted += 1;
                            full = 0;
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), SendErrorKind::Full);
                            full += 1;
                        }
                    }
                    yield_now().await;
                }
            };
            within("all to be full", fill(&mut accepted)).await;
            for at in drained {
                // All but one are full, and that one gets its share.
                let pull = &pullers[at % peers];
                let mut got = 0;
                within("one to be empty", async {
                    let mut empty = 0;
                    while empty < 20 {
                        match pull.try_recv() {
                            Ok(_) => (got, empty) = (got + 1, 0),
                            Err(_) => empty += 1,
                        }
                        yield_now().await;
                    }
                })
                .await;
                received += got;
                assert!(got > 0, "starved");
                let before = accepted;
                within("a send past the full ones", push.send(message.clone())).await.unwrap();
                accepted += 1;
                within("all to be full again", fill(&mut accepted)).await;
                assert!(accepted > before);
                for peer in push.stats().peers {
                    let mark = hwm + usize::from(medium == Medium::Inproc);
                    assert!(peer.queued <= mark as u64, "{peer:?}");
                }
            }
            within("the rest", async {
                while received < accepted {
                    received += pullers.iter().filter(|pull| pull.try_recv().is_ok()).count();
                    yield_now().await;
                }
            })
            .await;
            assert!(pullers.iter().all(|pull| pull.try_recv().is_err()), "doubled");
        });
    }
}
