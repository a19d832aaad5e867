//! B5.5 to B5.16: what an XPUB's application learns of its subscribers. After libzmq's `test_xpub_verbose` and
//! `test_xpub_manual`.

use sinew::{RecvError, Sub, Verbosity, XPub, XSub};

use crate::kit::{MEDIA, Soon, bind, counted, join, make, raw, raw_as};
use crate::support::raw_peer::RawPeer;

async fn note(xpub: &XPub) -> String {
    let note = xpub.recv().soon().await.unwrap();
    assert_eq!(note.frame_count(), 1);
    let sign = if note[0][0] == 1 { '+' } else { '-' };
    format!("{sign}{}", String::from_utf8_lossy(&note[0][1..]))
}

async fn say(peer: &mut RawPeer, steps: &str) {
    for step in steps.split_whitespace() {
        let name = if step.starts_with('+') { "SUBSCRIBE" } else { "CANCEL" };
        peer.send_command(name, &step.as_bytes()[1..]).await;
    }
    peer.settle().await;
}

async fn notes(xpub: &XPub) -> Vec<String> {
    let mut all = Vec::new();
    while xpub.stats().unread > 0 {
        all.push(note(xpub).await);
    }
    all
}

#[tokio::test]
async fn b5_6_b5_7_xpub_first_and_last_only() {
    let xpub = XPub::new();
    let (mut a, mut b) = (raw(&xpub).await, raw(&xpub).await);
    say(&mut a, "+A +A +B").await;
    assert_eq!(notes(&xpub).await, ["+A", "+B"]);
    say(&mut b, "+A -A -B").await;
    assert!(notes(&xpub).await.is_empty());
    say(&mut a, "-A -A -B").await;
    assert_eq!(notes(&xpub).await, ["-A", "-B"]);
}

#[tokio::test]
async fn b5_8_verbose_delivers_every_subscription_and_the_last_cancellation() {
    let xpub = XPub::builder().verbosity(Verbosity::EverySubscription).build().unwrap();
    let (mut a, mut b) = (raw(&xpub).await, raw(&xpub).await);
    say(&mut a, "+A +A").await;
    say(&mut b, "+A").await;
    assert_eq!(notes(&xpub).await, ["+A", "+A", "+A"]);
    say(&mut a, "-A").await;
    assert!(notes(&xpub).await.is_empty());
    say(&mut b, "-A").await;
    assert_eq!(notes(&xpub).await, ["-A"]);
}

#[tokio::test]
async fn b5_8_verboser_delivers_every_cancellation_too() {
    let xpub = XPub::builder().verbosity(Verbosity::Everything).build().unwrap();
    let (mut a, mut b) = (raw(&xpub).await, raw(&xpub).await);
    say(&mut a, "+A").await;
    say(&mut b, "+A").await;
    say(&mut a, "-A").await;
    say(&mut b, "-A").await;
    assert_eq!(notes(&xpub).await, ["+A", "+A", "-A", "-A"]);
}

#[tokio::test]
async fn b5_10_a_peer_that_leaves_cancels_what_it_held_last() {
    for (verbosity, expected) in [
        (Verbosity::FirstAndLast, &["-B"][..]),
        (Verbosity::EverySubscription, &["-B"]),
        (Verbosity::Everything, &["-A", "-B"]),
    ] {
        let xpub = XPub::builder().verbosity(verbosity).build().unwrap();
        let (mut a, mut b) = (raw(&xpub).await, raw(&xpub).await);
        say(&mut a, "+A +B").await;
        say(&mut b, "+A").await;
        notes(&xpub).await;
        drop(a);
        counted(&xpub, |stats| stats.peers.len() == 1).await;
        let mut left = notes(&xpub).await;
        left.sort();
        assert_eq!(left, expected, "{verbosity:?}");
        drop(b);
        assert_eq!(note(&xpub).await, "-A");
    }
}

#[tokio::test]
async fn b5_6_b5_10_the_same_over_every_transport() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let (xpub, sub) = (make::<XPub>(&context), make::<Sub>(&context));
        let endpoint = join(medium, &xpub, &sub).await;
        sub.subscribe("A");
        sub.subscribe("A");
        sub.subscribe("B");
        assert_eq!([note(&xpub).await, note(&xpub).await], ["+A", "+B"], "{medium:?}");
        sub.unsubscribe("A");
        sub.unsubscribe("A");
        assert_eq!(note(&xpub).await, "-A");
        sub.disconnect(&endpoint[..]).unwrap();
        assert_eq!(note(&xpub).await, "-B");
    }
}

#[tokio::test]
async fn b5_10_one_that_held_much_cancels_what_nobody_else_holds_and_the_others_keep_theirs() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let xpub = XPub::builder().context(&context).recv_hwm(0).build().unwrap();
        let (leaving, other) = (make::<Sub>(&context), make::<Sub>(&context));
        let endpoint = join(medium, &xpub, &leaving).await;
        join(medium, &xpub, &other).await;
        (0..1000).for_each(|topic| leaving.subscribe(format!("{topic:04}")));
        (500..1500).for_each(|topic| other.subscribe(format!("{topic:04}")));
        counted(&xpub, |stats| xpub.topic_count() == 1500 && stats.unread == 1500).await;
        notes(&xpub).await;
        leaving.disconnect(&endpoint[..]).unwrap();
        counted(&xpub, |stats| stats.peers.len() == 1).await;
        let mut told = notes(&xpub).await;
        told.sort();
        assert!(told.into_iter().eq((0..500).map(|topic| format!("-{topic:04}"))), "{medium:?}");
        assert_eq!(xpub.topic_count(), 1000);
        xpub.send("0700").soon().await.unwrap();
        assert_eq!(other.recv().soon().await.unwrap(), "0700");
    }
}

#[tokio::test]
async fn b5_5_user_messages_go_up_to_an_xpub_whole() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let (xpub, xsub) = (make::<XPub>(&context), make::<XSub>(&context));
        join(medium, &xpub, &xsub).await;
        for message in [&["hello"][..], &["a", "b", "c"], &[""], &["\x02"], &["", "\x02A"]] {
            let message: sinew::Message = message.iter().copied().collect();
            xsub.send(message.clone()).soon().await.unwrap();
            assert_eq!(xpub.recv().soon().await.unwrap(), message, "{medium:?}");
        }
        assert_eq!(xpub.topic_count(), 0);
    }
}

/// libzmq's `test_xpub_manual`, `user_message_multi`.
#[tokio::test]
async fn b5_16_every_frame_of_an_upstream_message_may_be_a_subscription_unless_only_the_first() {
    let xpub = XPub::new();
    let mut peer = raw(&xpub).await;
    peer.send_msg(&[b"user", b"\x01A", b"more"]).await;
    peer.settle().await;
    assert_eq!(note(&xpub).await, "+A");
    assert_eq!(xpub.recv().soon().await.unwrap(), ["user", "more"]);

    let xpub = XPub::builder().only_first_subscribe(true).build().unwrap();
    let mut peer = raw(&xpub).await;
    peer.send_msg(&[b"user", b"\x01A", b"more"]).await;
    assert_eq!(xpub.recv().soon().await.unwrap(), ["user", "\x01A", "more"]);
    assert_eq!(xpub.topic_count(), 0);
    peer.send_msg(&[b"\x01B"]).await;
    assert_eq!(note(&xpub).await, "+B");
}

#[tokio::test]
async fn b5_11_unread_notifications_are_bounded_and_the_peer_is_not_read() {
    let xpub = XPub::builder().recv_hwm(10).build().unwrap();
    let mut peer = raw(&xpub).await;
    for i in 0..1000 {
        peer.send_command("SUBSCRIBE", format!("{i}").as_bytes()).await;
    }
    counted(&xpub, |stats| stats.unread >= 10).await;
    for i in 0..1000 {
        assert!(xpub.stats().unread <= 11, "{}", xpub.stats().unread);
        assert_eq!(note(&xpub).await, format!("+{i}"));
    }
}

#[tokio::test]
async fn b5_13_manual_subscriptions_take_effect_as_the_application_says() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let xpub = XPub::builder().context(&context).manual(true).build().unwrap();
        let sub = Sub::builder().context(&context).subscribe("A").subscribe("XA").build().unwrap();
        join(medium, &xpub, &sub).await;
        let mut asked = [note(&xpub).await, note(&xpub).await];
        asked.sort();
        assert_eq!(asked, ["+A", "+XA"]);
        xpub.subscribe("XA");
        xpub.send("A").soon().await.unwrap();
        xpub.send("XA").soon().await.unwrap();
        assert_eq!(sub.recv().soon().await.unwrap(), "XA", "{medium:?}");
        xpub.unsubscribe("XA");
        xpub.send("XA").soon().await.unwrap();
        xpub.subscribe("A");
        xpub.send("A").soon().await.unwrap();
        assert_eq!(sub.recv().soon().await.unwrap(), "A");
    }
}

/// libzmq's `test_xpub_manual`, `unsubscribe`: one for each peer that asked, though others hold the topic.
#[tokio::test]
async fn b5_13_manual_delivers_every_request_and_one_cancellation_for_each_peer() {
    let xpub = XPub::builder().manual(true).build().unwrap();
    let (mut a, mut b) = (raw(&xpub).await, raw(&xpub).await);
    say(&mut a, "+A +A").await;
    say(&mut b, "+A -Z").await;
    let all = [note(&xpub).await, note(&xpub).await, note(&xpub).await, note(&xpub).await];
    let mut sorted = all.to_vec();
    sorted.sort();
    assert_eq!(sorted, ["+A", "+A", "+A", "-Z"]);
    xpub.subscribe("B");
    assert_eq!(xpub.topic_count(), 1);
    drop((a, b));
    assert_eq!([note(&xpub).await, note(&xpub).await], ["-A", "-A"]);
    counted(&xpub, |stats| stats.peers.is_empty()).await;
    assert_eq!(xpub.topic_count(), 0);
    // Whoever asked last is gone: nobody to subscribe for.
    xpub.subscribe("C");
    assert_eq!(xpub.topic_count(), 0);
}

#[tokio::test]
async fn manual_editing_does_nothing_without_the_option_or_a_request() {
    let xpub = XPub::new();
    let mut peer = raw(&xpub).await;
    say(&mut peer, "+A").await;
    note(&xpub).await;
    xpub.subscribe("B");
    assert_eq!(xpub.topic_count(), 1);
    let manual = XPub::builder().manual(true).build().unwrap();
    manual.subscribe("A");
    assert_eq!(manual.topic_count(), 0);
    assert_eq!(manual.try_recv(), Err(RecvError::Empty));
}

#[tokio::test]
async fn b5_5_an_xpub_that_connects_sees_the_subscriptions_of_each_connection() {
    let xpub = XPub::new();
    let sub = Sub::builder().subscribe("A").build().unwrap();
    xpub.connect(bind(&sub).await).await.unwrap();
    assert_eq!(note(&xpub).await, "+A");
    drop(sub);
    assert_eq!(note(&xpub).await, "-A");
}

/// A waker that asks a socket for something that it keeps under a lock.
struct Asking(Sub, std::sync::atomic::AtomicUsize);

impl std::task::Wake for Asking {
    fn wake(self: std::sync::Arc<Self>) {
        self.1.store(self.0.topic_count(), std::sync::atomic::Ordering::SeqCst);
    }
}

/// ARCHITECTURE, Locks: wakers are fired after the lock. Were `subscriptions` still held, the thread would lock itself
/// out; so it runs beside the test.
#[test]
fn no_lock_is_held_when_a_subscription_wakes_somebody() {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let context = sinew::Context::new();
            let xpub = XPub::builder().context(&context).build().unwrap();
            let sub = Sub::builder().context(&context).subscribe("first").build().unwrap();
            let endpoint = crate::kit::inproc();
            xpub.bind(&endpoint[..]).await.unwrap();
            let asking = std::sync::Arc::new(Asking(sub.clone(), 0.into()));
            let waker = std::task::Waker::from(asking.clone());
            let mut cx = std::task::Context::from_waker(&waker);
            let seen = || asking.1.swap(0, std::sync::atomic::Ordering::SeqCst);
            for topics in 1..=3 {
                let mut note = std::pin::pin!(xpub.recv());
                assert!(note.as_mut().poll(&mut cx).is_pending());
                match topics {
                    1 => sub.connect(&endpoint[..]).await.unwrap(),
                    2 => sub.subscribe("second"),
                    _ => sub.unsubscribe("second"),
                }
                assert!(seen() > 0, "step {topics}: nobody was woken");
                note.await.unwrap();
            }
        });
        done.send(()).unwrap();
    });
    ended.recv_timeout(crate::support::DEADLINE).expect("a waker that asks the socket is never answered");
}

#[tokio::test]
async fn b5_11_over_inproc_notifications_are_bounded_and_no_messages_of_the_subscriber() {
    let context = sinew::Context::new();
    let xpub = XPub::builder().context(&context).recv_hwm(10).build().unwrap();
    let sub = Sub::builder().context(&context).build().unwrap();
    join(crate::kit::Medium::Inproc, &xpub, &sub).await;
    for i in 0..5000 {
        sub.subscribe(format!("{i}"));
        if i % 1000 != 999 {
            sub.unsubscribe(format!("{i}"));
        }
    }
    // The sum of the marks, and the five topics that are left.
    let unread = xpub.stats().unread;
    assert!(unread <= 1010 + 5, "{unread}");
    let mut held = std::collections::BTreeSet::new();
    for note in notes(&xpub).await {
        let (sign, topic) = note.split_at(1);
        assert!(if sign == "+" { held.insert(topic.to_owned()) } else { held.remove(topic) }, "{note}");
    }
    assert_eq!(Vec::from_iter(held), ["1999", "2999", "3999", "4999", "999"]);
    let (told, telling) = (xpub.stats(), sub.stats());
    assert_eq!((told.unread, telling.sent, telling.queued), (0, 0, 0));
}

#[tokio::test]
async fn b5_10_an_xpub_that_unbinds_hears_the_end_of_its_subscriptions() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let xpub = XPub::builder().context(&context).build().unwrap();
        let sub = Sub::builder().context(&context).subscribe("A").build().unwrap();
        let endpoint = join(medium, &xpub, &sub).await;
        assert_eq!(note(&xpub).await, "+A");
        xpub.unbind(&endpoint[..]).unwrap();
        assert_eq!(note(&xpub).await, "-A", "{medium:?}");
    }
}

#[tokio::test]
async fn b5_14_a_subscriber_that_has_left_takes_no_message_from_the_others() {
    let xpub = XPub::builder().manual_last_value(true).build().unwrap();
    let (mut a, mut b) = (raw(&xpub).await, raw(&xpub).await);
    for peer in [&mut a, &mut b] {
        say(peer, "+A").await;
        assert_eq!(note(&xpub).await, "+A");
        xpub.subscribe("A");
    }
    xpub.send("A: last value").soon().await.unwrap();
    assert_eq!(b.recv_msg().await, [b"A: last value"]);
    drop(a);
    assert_eq!(note(&xpub).await, "-A");
    xpub.send("A: news").soon().await.unwrap();
    assert_eq!(b.recv_msg().await, [b"A: news"]);
}

#[tokio::test]
async fn b5_15_an_empty_welcome_is_none() {
    let xpub = XPub::builder().welcome("").build().unwrap();
    let mut peer = raw(&xpub).await;
    say(&mut peer, "+A").await;
    xpub.send("A").soon().await.unwrap();
    assert_eq!(peer.recv_msg().await, [b"A"]);
}

#[tokio::test]
async fn promise_2_messages_and_subscriptions_of_a_3_0_peer_come_in_their_order() {
    let xpub = XPub::new();
    let mut peer = raw_as(&xpub, "XSUB", 0).await;
    peer.send_raw(b"\0\x02x1\0\x02\x01A\0\x02x2").await;
    for expected in ["x1", "\x01A", "x2"] {
        assert_eq!(xpub.recv().soon().await.unwrap(), expected);
    }
}
