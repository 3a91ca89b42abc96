//! What every implementation of the port [`Broadcast`] promises, as tests: one suite, run on each by
//! [`broadcast_conformance!`](crate::broadcast_conformance).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::within;
use crate::broadcast::{Broadcast, CAPACITY};

/// One topic under test, of its own.
#[async_trait]
pub trait Medium: Send + Sync + 'static {
    /// One process's access to the topic.
    async fn join(&self) -> Arc<dyn Broadcast>;

    /// Leaves nothing behind. All that joined has been dropped.
    async fn remove(self);
}

/// Defines one `#[tokio::test]` for each case: `broadcast_conformance!(local, Some(Local::new()))` where
/// the expression gives an `Option` of a [`Medium`](crate::conformance::broadcast::Medium); `None` means
/// that it cannot be tested here and that it has said so.
#[macro_export]
macro_rules! broadcast_conformance {
    ($name:ident, $medium:expr) => {
        $crate::broadcast_conformance!(@cases $name, $medium,
            what_is_published_after_subscribing_arrives,
            nothing_from_before_the_start_is_repeated,
            own_messages_come_back,
            messages_of_one_process_keep_their_order,
            every_subscriber_hears_everything,
            a_subscriber_that_lags_loses_and_goes_on,
            messages_stay_as_they_are,
        );
    };
    (@cases $name:ident, $medium:expr, $($case:ident),+ $(,)?) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let Some(medium) = $medium else { return };
                    $crate::conformance::broadcast::$case(&medium).await;
                    $crate::conformance::broadcast::Medium::remove(medium).await;
                }
            )+
        }
    };
}

type Messages = BoxStream<'static, Bytes>;

async fn subscribe(topic: &Arc<dyn Broadcast>) -> Messages {
    within("subscribing", topic.subscribe()).await.expect("the topic can be heard")
}

async fn next(messages: &mut Messages) -> Bytes {
    within("a message", messages.next()).await.expect("the stream goes on")
}

fn numbered(from: &str, number: usize) -> Bytes {
    Bytes::from(format!("{from} {number}"))
}

/// Each time at once: a position that is found out later would miss some.
pub async fn what_is_published_after_subscribing_arrives(medium: &impl Medium) {
    let speaker = medium.join().await;
    for round in 0..3 {
        let listener = medium.join().await;
        let mut messages = subscribe(&listener).await;
        speaker.publish(numbered("round", round));
        assert_eq!(next(&mut messages).await, numbered("round", round));
    }
}

pub async fn nothing_from_before_the_start_is_repeated(medium: &impl Medium) {
    let speaker = medium.join().await;
    let mut own = subscribe(&speaker).await;
    speaker.publish("before".into());
    assert_eq!(next(&mut own).await, "before");
    let late = medium.join().await;
    let mut messages = subscribe(&late).await;
    speaker.publish("after".into());
    assert_eq!(next(&mut messages).await, "after");
}

pub async fn own_messages_come_back(medium: &impl Medium) {
    let topic = medium.join().await;
    let mut messages = subscribe(&topic).await;
    topic.publish("mine".into());
    assert_eq!(next(&mut messages).await, "mine");
}

pub async fn messages_of_one_process_keep_their_order(medium: &impl Medium) {
    const EACH: usize = 500;
    let speakers = [("a", medium.join().await), ("b", medium.join().await)];
    let listener = medium.join().await;
    let mut messages = subscribe(&listener).await;
    for number in 0..EACH {
        for (name, speaker) in &speakers {
            speaker.publish(numbered(name, number));
        }
    }
    let mut heard: [Vec<Bytes>; 2] = Default::default();
    while heard.iter().any(|heard| heard.len() < EACH) {
        let message = next(&mut messages).await;
        heard[usize::from(message[0] == b'b')].push(message);
    }
    for ((name, _), heard) in speakers.iter().zip(heard) {
        assert_eq!(heard, (0..EACH).map(|number| numbered(name, number)).collect::<Vec<_>>());
    }
}

pub async fn every_subscriber_hears_everything(medium: &impl Medium) {
    let here = medium.join().await;
    let elsewhere = medium.join().await;
    let mut subscribers = vec![subscribe(&here).await, subscribe(&here).await, subscribe(&elsewhere).await];
    for number in 0..10 {
        here.publish(numbered("to all", number));
    }
    for messages in &mut subscribers {
        for number in 0..10 {
            assert_eq!(next(messages).await, numbered("to all", number));
        }
    }
    // One that leaves takes nothing from the others.
    drop(subscribers.remove(0));
    here.publish("still".into());
    for messages in &mut subscribers {
        assert_eq!(next(messages).await, "still");
    }
}

pub async fn a_subscriber_that_lags_loses_and_goes_on(medium: &impl Medium) {
    let topic = medium.join().await;
    let mut lagging = subscribe(&topic).await;
    let mut prompt = subscribe(&topic).await;
    let total = CAPACITY + 1000;
    // In steps that no queue on the way is too small for.
    for number in 0..total {
        topic.publish(numbered("n", number));
        if number % 500 == 499 || number == total - 1 {
            while next(&mut prompt).await != numbered("n", number) {}
        }
    }
    let first = next(&mut lagging).await;
    assert_ne!(first, numbered("n", 0), "the oldest are lost");
    while next(&mut lagging).await != numbered("n", total - 1) {}
    topic.publish("on".into());
    assert_eq!(next(&mut lagging).await, "on");
}

pub async fn messages_stay_as_they_are(medium: &impl Medium) {
    let topic = medium.join().await;
    let mut messages = subscribe(&topic).await;
    let sent = [Bytes::new(), Bytes::from_static(&[0, 255, 10]), Bytes::from(vec![7; 500_000])];
    for message in &sent {
        topic.publish(message.clone());
    }
    for message in sent {
        assert_eq!(next(&mut messages).await, message);
    }
}
