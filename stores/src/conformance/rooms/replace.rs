//! A store built beside another, in whose place it then is.

use super::*;

pub async fn a_store_beside_replaces_the_store_for_good(backend: &Rooms) {
    let store = backend.open().await;
    apply(&*store, full_batch()).await;
    for round in 0..3 {
        let beside = store.beside().await.unwrap();
        assert_eq!(beside.cursor(P0).await.unwrap(), None);
        assert_eq!(beside.events(A, 0, 9).await.unwrap(), []);
        let rebuilt = RoomBatch { events: vec![event(A, 1), event(A, 10 + round)], ..batch(0, 20 + round) };
        apply(&*beside, rebuilt).await;
        if round == 0 {
            assert_full_batch_is_there(&*store).await;
        }
        store.promote().await.unwrap();
        // Both handles are now on the same.
        for handle in [&store, &beside] {
            assert_eq!(handle.cursor(P0).await.unwrap(), Some(cursor(P0, 20 + round)));
            assert_eq!(handle.seq_range(A).await.unwrap(), Some((1, 10 + round)));
            assert_eq!(handle.messages(A, Page::Latest, 9).await.unwrap(), []);
        }
    }
    apply(&*store, RoomBatch { events: vec![event(B, 5)], ..batch(22, 23) }).await;
    drop(store);
    let store = backend.open().await;
    assert_eq!(store.cursor(P0).await.unwrap(), Some(cursor(P0, 23)));
    assert_eq!(store.seq_range(A).await.unwrap(), Some((1, 12)));
    assert_eq!(store.seq_range(B).await.unwrap(), Some((5, 5)));
}

pub async fn a_store_beside_that_was_not_promoted_is_dropped(backend: &Rooms) {
    let store = backend.open().await;
    apply(&*store, full_batch()).await;
    let beside = store.beside().await.unwrap();
    apply(&*beside, RoomBatch { events: vec![event(A, 1)], ..batch(0, 3) }).await;
    drop(beside);
    let beside = store.beside().await.unwrap();
    assert_eq!(beside.cursor(P0).await.unwrap(), None);
    apply(&*beside, RoomBatch { events: vec![event(A, 1)], ..batch(0, 4) }).await;
    drop((beside, store));

    let store = backend.open().await;
    assert_full_batch_is_there(&*store).await;
    let beside = store.beside().await.unwrap();
    assert_eq!(beside.cursor(P0).await.unwrap(), None);
    assert_eq!(beside.events(A, 0, 9).await.unwrap(), []);
}

pub async fn nothing_is_promoted_that_was_not_built(backend: &Rooms) {
    let store = backend.open().await;
    apply(&*store, full_batch()).await;
    assert!(matches!(store.promote().await, Err(StoreError::Damaged { .. })));
    store.beside().await.unwrap();
    store.promote().await.unwrap();
    assert!(matches!(store.promote().await, Err(StoreError::Damaged { .. })));
    assert_eq!(store.cursor(P0).await.unwrap(), None);
}

pub async fn readers_go_on_while_the_store_is_replaced(backend: &Rooms) {
    let store = backend.open().await;
    for seq in 1..=20 {
        apply(&*store, step(seq)).await;
    }
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..6)
        .map(|_| {
            let (store, done) = (store.clone(), done.clone());
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let events = store.events(A, 1, 100).await.expect("reads never fail");
                    assert_eq!(events.len(), 20, "either of them is complete");
                }
            })
        })
        .collect();
    for _ in 0..5 {
        let beside = store.beside().await.unwrap();
        for seq in 1..=20 {
            apply(&*beside, step(seq)).await;
        }
        store.promote().await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}
