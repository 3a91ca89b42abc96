//! A log that cannot be written for a while. Backends without a way to cause that pass.

use super::*;

/// Appends until the log takes a record again.
async fn append_until_taken(log: &Arc<dyn EventLog>, value: &'static str) -> Appended {
    let trying = async {
        loop {
            match log.append(ROOMS_0, record(value)).await {
                Ok(appended) => return appended,
                Err(LogError::Unavailable(_) | LogError::UnknownOutcome(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    within("an append after the repair", trying).await
}

pub async fn a_broken_log_confirms_nothing_and_works_again_when_repaired(backend: &impl Backend) {
    let log = backend.open().await;
    append(&log, ROOMS_0, "before").await;
    if !backend.break_it().await {
        return;
    }
    let mut unknown = false;
    let appends = [(); 3].map(|()| log.append(ROOMS_0, record(vec![b'x'; 500_000])));
    for outcome in within("the appends", futures::future::join_all(appends)).await {
        match refused(outcome) {
            LogError::Unavailable(_) => {}
            LogError::UnknownOutcome(_) => unknown = true,
            other => panic!("{other}"),
        }
    }
    backend.repair().await;
    let after = append_until_taken(&log, "after").await;
    let records = read(&log, ROOMS_0, 0, after.offset + 1).await;
    let small: Vec<Bytes> = values(&records).into_iter().filter(|value| value.len() < 500_000).collect();
    assert_eq!(small.first().map(Bytes::as_ref), Some(&b"before"[..]));
    assert!(small[1..].iter().all(|value| value == "after"), "{small:?}");
    if !unknown {
        assert_eq!(values(&records), ["before", "after"], "`Unavailable` means: not written");
    }
    drop(log);
    let log = backend.open().await;
    assert_eq!(read(&log, ROOMS_0, 0, after.offset + 1).await, records, "a restart changes nothing");
}

pub async fn readers_go_on_after_the_log_was_broken(backend: &impl Backend) {
    let log = backend.open().await;
    append(&log, ROOMS_0, "before").await;
    let mut behind = log.read(ROOMS_0, 0).await.expect("a reader");
    let mut at_the_end = log.read(ROOMS_0, 1).await.expect("a reader");
    if !backend.break_it().await {
        return;
    }
    refused(within("an append", log.append(ROOMS_0, record(vec![b'x'; 500_000]))).await);
    backend.repair().await;
    append_until_taken(&log, "after").await;
    for reader in [&mut behind, &mut at_the_end] {
        let reading = async {
            loop {
                match reader.next().await {
                    Ok(records) if records.iter().any(|record| record.value == "after") => break,
                    Ok(_) | Err(LogError::Unavailable(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        };
        within("reading on", reading).await;
    }
}
