//! An import in parts is the same as one in one piece.

mod support;
use proptest::prelude::*;
use support::invariants::{Step, assert_gap_free, assert_invariants, run};
use support::random::{account, import_batch_in_order, requests};
use support::*;

/// What the batch's parts make, one after the other: all their events and the last state.
fn import_in_parts(
    state: &State,
    batch: &ImportBatch,
    parts: &[&[ImportItem]],
) -> Result<(Vec<Event>, State), Rejection> {
    let (mut events, mut state) = (Vec::new(), state.clone());
    for part in parts {
        let command = import_from(&batch.source, batch.room_id, part.iter().cloned());
        let step = Step::take(&state, command, Context::default());
        assert_gap_free(&step);
        assert_invariants(&step.after);
        events.extend_from_slice(step.events());
        step.decision?;
        state = step.after;
    }
    Ok((events, state))
}

/// A state with the batch's room in it.
fn state_with_room(requests: Vec<(Command, Context)>, room_id: RoomId) -> State {
    let first = (create_root(room_id, AccountId::from_u128(0)), Context::default());
    let requests = requests.into_iter().chain([first]).collect();
    run(requests).pop().map(|step| step.after).unwrap_or_default()
}

proptest! {
    #[test]
    fn a_batch_split_anywhere_gives_the_same_events(
        requests in requests(),
        batch in import_batch_in_order(),
    ) {
        let state = state_with_room(requests, batch.room_id);
        let whole = import_in_parts(&state, &batch, &[&batch.items]);
        for at in 0..=batch.items.len() {
            let (first, second) = batch.items.split_at(at);
            prop_assert_eq!(&import_in_parts(&state, &batch, &[first, second]), &whole);
        }
        let one_by_one: Vec<_> = batch.items.chunks(1).collect();
        prop_assert_eq!(&import_in_parts(&state, &batch, &one_by_one), &whole);
    }

    /// An importer that does not know how far it got begins again at any earlier record.
    #[test]
    fn batches_may_overlap(requests in requests(), batch in import_batch_in_order()) {
        let state = state_with_room(requests, batch.room_id);
        let whole = import_in_parts(&state, &batch, &[&batch.items]);
        prop_assume!(whole.is_ok());
        for at in 0..=batch.items.len() {
            let parts = [&batch.items[..at], &batch.items[..], &batch.items[at..]];
            prop_assert_eq!(&import_in_parts(&state, &batch, &parts), &whole);
        }
    }

    /// Every record that the room lacks becomes one event that names it, in order.
    #[test]
    fn each_record_is_taken_in_once(requests in requests(), batch in import_batch_in_order()) {
        let state = state_with_room(requests, batch.room_id);
        let Ok((events, after)) = import_in_parts(&state, &batch, &[&batch.items]) else { return Ok(()) };
        let done = state.rooms[&batch.room_id].imports.get(&batch.source).copied();
        let new = batch.items.iter().filter(|item| done.is_none_or(|done| item.position > done));
        let expected: Vec<_> =
            new.map(|item| (batch.room_id, item.position, item.source_id.as_str(), item.time_ms)).collect();
        let taken: Vec<_> = events
            .iter()
            .filter_map(|event| Some((event.timeline()?.0, event.imported()?)))
            .map(|(room, imported)| (room, imported.position, imported.source_id.as_str(), imported.time_ms))
            .collect();
        prop_assert_eq!(taken, expected);
        let last = batch.items.last().map(|item| item.position).max(done);
        prop_assert_eq!(after.rooms[&batch.room_id].imports.get(&batch.source).copied(), last);
    }

    #[test]
    fn accounts_split_anywhere_give_the_same_events(
        requests in requests(),
        accounts in prop::collection::vec(account(), 0..8),
    ) {
        let state = run(requests).pop().map(|step| step.after).unwrap_or_default();
        let events = |parts: &[&[AccountId]]| {
            let (mut events, mut state) = (Vec::new(), state.clone());
            for part in parts {
                let command = import_accounts(part.iter().copied());
                let step = Step::take(&state, command, Context::default());
                events.extend_from_slice(step.events());
                state = step.after;
            }
            events
        };
        let whole = events(&[&accounts]);
        for at in 0..=accounts.len() {
            let (first, second) = accounts.split_at(at);
            prop_assert_eq!(&events(&[first, second]), &whole);
        }
    }
}
