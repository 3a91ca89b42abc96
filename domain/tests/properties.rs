//! What holds for any sequence of commands.

mod support;
use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use support::invariants::{Step, assert_gap_free, assert_invariants, replay, run};
use support::random::{command, event, requests};
use support::*;

proptest! {
    #[test]
    fn every_room_has_a_gap_free_timeline(requests in requests()) {
        let steps = run(requests);
        steps.iter().for_each(assert_gap_free);

        let mut timelines: HashMap<RoomId, Vec<u64>> = HashMap::new();
        for (room_id, seq) in steps.iter().flat_map(Step::events).filter_map(Event::timeline) {
            timelines.entry(room_id).or_default().push(seq);
        }
        for timeline in timelines.values() {
            prop_assert!(timeline.iter().copied().eq(1..=timeline.len() as u64), "{:?}", timeline);
        }
    }

    /// A member of a room is one of every ancestor, a root has an owner, the tree is sound.
    #[test]
    fn the_rules_of_the_hierarchy_hold_after_every_record(requests in requests()) {
        for step in run(requests) {
            assert_invariants(&step.after);
        }
    }

    #[test]
    fn a_replay_from_any_snapshot_gives_the_same_state(requests in requests()) {
        let steps = run(requests);
        let Some(last) = steps.last() else { return Ok(()) };
        let events: Vec<Event> = steps.iter().flat_map(Step::events).cloned().collect();
        prop_assert_eq!(&replay(&State::default(), &events), &last.after);

        let mut seen = 0;
        for step in &steps {
            prop_assert_eq!(&replay(&step.before, &events[seen..]), &last.after);
            seen += step.events().len();
        }
    }

    /// Snapshots in the midst of records, too: batches of one size each.
    #[test]
    fn a_replay_in_batches_gives_the_same_state(requests in requests(), size in 1..20usize) {
        let steps = run(requests);
        let events: Vec<Event> = steps.iter().flat_map(Step::events).cloned().collect();
        let state = events.chunks(size).fold(State::default(), |state, batch| replay(&state, batch));
        prop_assert_eq!(state, replay(&State::default(), &events));
    }

    #[test]
    fn a_decision_depends_on_nothing_but_its_arguments(requests in requests()) {
        let steps = run(requests);
        let mut replayed = State::default();
        for step in &steps {
            prop_assert_eq!(&step.before.decide(&step.command, &step.context), &step.decision);
            prop_assert_eq!(&replayed.decide(&step.command, &step.context), &step.decision);
            replayed = replay(&replayed, step.events());
        }
    }

    #[test]
    fn an_accepted_record_has_events_and_each_reaches_the_state(requests in requests()) {
        for step in run(requests) {
            if let Ok(Decision::Events(events)) = &step.decision {
                prop_assert!(!events.is_empty());
            }
            let mut state = step.before.clone();
            for event in step.events() {
                let next = replay(&state, [event]);
                prop_assert_ne!(&next, &state, "{:?} changes nothing", event);
                state = next;
            }
        }
    }

    /// What would come of a repeat whose key nobody remembers.
    #[test]
    fn a_repeat_writes_nothing_unless_it_is_a_message(requests in requests()) {
        for step in run(requests) {
            if step.events().is_empty() || matches!(step.command, Command::SendMessage(_)) {
                continue;
            }
            let again = step.after.decide(&step.command, &step.context);
            match &step.command {
                Command::ClaimAccount(_) => prop_assert_eq!(again, Err(Rejection::AlreadyClaimed)),
                Command::RegisterAccount(_) | Command::CreateRoom(_) | Command::JoinRoom { .. } => {
                    let first = Answer::from_events(step.events());
                    prop_assert_eq!(again, Ok(Decision::Unchanged(first)));
                }
                // Whether its name is another one cannot be told.
                Command::ChangeRole(_) => {}
                Command::RemoveRole(_) => prop_assert_eq!(again, Err(Rejection::RoleNotFound)),
                // Who gave it away has it no more.
                Command::TransferOwnership(_) => prop_assert_eq!(again, Err(Rejection::NotAllowed)),
                // Whoever has left a closed room is told nothing of it.
                Command::LeaveRoom { .. } if again == Err(Rejection::RoomNotFound) => {}
                _ => prop_assert!(matches!(again, Ok(Decision::Unchanged(_))), "{:?}", again),
            }
        }
    }

    /// "No one ever gains a permission that nobody who could grant it held": whatever a command about
    /// roles adds anywhere, to anyone, its giver held there before.
    #[test]
    fn nobody_gains_what_the_giver_did_not_hold(requests in requests()) {
        for step in run(requests) {
            let Some(by) = giver(&step.command) else { continue };
            for (room_id, account_id, gained) in gains(&step) {
                let held = step.before.way(room_id, by).map(|way| way.held()).unwrap_or_default();
                prop_assert!(gained.is_within(held), "{account_id} gained {gained:?} in {room_id}, {by} held {held:?}");
            }
        }
    }

    /// Other commands give nothing to anyone but to whom they make a member, perhaps once more.
    #[test]
    fn only_commands_about_roles_give_permissions_to_members(requests in requests()) {
        for step in run(requests).iter().filter(|step| giver(&step.command).is_none()) {
            let joined = |account| {
                let joins = |event: &Event| matches!(event, Event::MemberJoined(e) if e.account_id == account);
                step.events().iter().any(joins)
            };
            for (room_id, account_id, gained) in gains(step) {
                prop_assert!(
                    joined(account_id),
                    "{account_id} gained {gained:?} in {room_id} by {:?}", step.command
                );
            }
        }
    }

    #[test]
    fn a_role_is_taken_only_by_someone_above(requests in requests()) {
        for step in run(requests) {
            let (Command::SetRole(command), false) = (&step.command, step.events().is_empty()) else { continue };
            if command.account_id != command.by {
                let standing = |account| step.before.way(command.room_id, account).expect("there").standing();
                prop_assert!(standing(command.by).outranks(standing(command.account_id)));
            }
        }
    }

    #[test]
    fn an_explanation_agrees_with_what_is_permitted(requests in requests()) {
        let Some(last) = run(requests).pop() else { return Ok(()) };
        for (room_id, account_id) in everybody_everywhere(&last.after) {
            for &permission in Permission::ALL {
                let explanation = last.after.explain(account_id, room_id, permission).expect("a room");
                let permitted = last.after.permits(room_id, account_id, permission);
                prop_assert_eq!(explanation.is_allowed, permitted, "{:?}", explanation);
            }
        }
    }

    #[test]
    fn an_answer_tells_what_the_record_did(requests in requests()) {
        for step in run(requests) {
            if !step.events().is_empty() {
                assert_answer(&step);
            }
        }
    }

    #[test]
    fn any_events_in_any_order_can_be_applied(
        events in prop::collection::vec(event(), 0..80),
        commands in prop::collection::vec(command(), 1..10),
    ) {
        let state = replay(&State::default(), &events);
        for command in &commands {
            let _ = state.decide(command, &Context::default());
        }
    }

    #[test]
    fn any_events_can_come_after_a_history(requests in requests(), event in event(), command in command()) {
        let last = run(requests).pop().map(|step| step.after).unwrap_or_default();
        let _ = replay(&last, [&event]).decide(&command, &Context::default());
    }
}

/// Who gives a command about roles.
fn giver(command: &Command) -> Option<AccountId> {
    match command {
        Command::SetRole(c) => Some(c.by),
        Command::TransferOwnership(c) => Some(c.by),
        Command::CreateRole(c) | Command::ChangeRole(c) => Some(c.by),
        Command::RemoveRole(c) => Some(c.by),
        Command::SetOverride(c) => Some(c.by),
        _ => None,
    }
}

fn everybody_everywhere(state: &State) -> Vec<(RoomId, AccountId)> {
    let accounts: HashSet<AccountId> =
        state.rooms.values().flat_map(|room| room.members.keys()).copied().collect();
    let rooms = state.rooms.keys();
    rooms.flat_map(|&room| accounts.iter().map(move |&account| (room, account))).collect()
}

/// Who may do more than before, and where.
fn gains(step: &Step) -> Vec<(RoomId, AccountId, Permissions)> {
    let may = |state: &State, room, account| {
        state.way(room, account).map(|way| way.permissions()).unwrap_or_default()
    };
    everybody_everywhere(&step.after)
        .into_iter()
        .map(|(room, account)| {
            let gained = may(&step.after, room, account).without(may(&step.before, room, account));
            (room, account, gained)
        })
        .filter(|(_, _, gained)| !gained.is_empty())
        .collect()
}

fn assert_answer(step: &Step) {
    let answer = Answer::from_events(step.events());
    let (account_id, room_id, message_id, imported) = match &step.command {
        Command::RegisterAccount(c) => (Some(c.account_id), None, None, 0),
        Command::ClaimAccount(c) => (Some(c.account_id), None, None, 0),
        // Many accounts and no room: nothing that a client could not tell from its command.
        Command::ImportAccounts(_) => (answer.account_id, None, None, 0),
        Command::EndSession { account_id, .. } => (Some(*account_id), None, None, 0),
        Command::CreateRoom(c) => (None, Some(c.room_id), None, 0),
        Command::JoinRoom { room_id, .. } | Command::LeaveRoom { room_id, .. } => {
            (None, Some(*room_id), None, 0)
        }
        Command::SendMessage(c) => (None, Some(c.room_id), Some(c.message_id), 0),
        Command::SetRole(SetRole { room_id, .. })
        | Command::TransferOwnership(TransferOwnership { room_id, .. })
        | Command::RemoveRole(RemoveRole { room_id, .. })
        | Command::SetOverride(SetOverride { room_id, .. }) => (None, Some(*room_id), None, 0),
        Command::CreateRole(c) | Command::ChangeRole(c) => (None, Some(c.room_id), None, 0),
        Command::Import(batch) => {
            let done = step.before.rooms[&batch.room_id].imports.get(&batch.source).copied();
            let new = batch.items.iter().filter(|item| done.is_none_or(|done| item.position > done));
            (None, Some(batch.room_id), None, new.count() as u32)
        }
    };
    let seq = room_id.map_or(0, |room_id| step.after.rooms[&room_id].seq);
    let role_id = match &step.command {
        Command::CreateRole(c) | Command::ChangeRole(c) => Some(c.role_id),
        _ => None,
    };
    assert_eq!(answer, Answer { account_id, room_id, message_id, role_id, seq, imported });
}

/// The properties above say something only if the random commands get somewhere.
#[test]
fn random_commands_reach_every_event_and_every_rejection_but_the_limits() {
    let mut runner = TestRunner::deterministic();
    let (mut events, mut rejections, mut deepest) = (HashSet::new(), HashSet::new(), 0);
    for _ in 0..200 {
        let steps = run(requests().new_tree(&mut runner).expect("nothing is filtered").current());
        events.extend(steps.iter().flat_map(Step::events).map(Event::name));
        rejections.extend(steps.iter().filter_map(|step| step.decision.as_ref().err().copied()));
        let rooms = steps.last().into_iter().flat_map(|step| step.after.rooms.values());
        deepest = rooms.map(|room| room.depth).fold(deepest, u32::max);
    }
    assert_eq!(events, Event::NAMES.iter().copied().collect());
    let missed: Vec<_> = Rejection::ALL.iter().filter(|rejection| !rejections.contains(rejection)).collect();
    assert_eq!(missed, [&Rejection::TooManyRoles, &Rejection::TooDeep, &Rejection::TooManySubRooms]);
    assert!(deepest >= 3, "the deepest room is at {deepest}");
}
