//! What every implementation of a port promises, as tests: one suite for each port, run on each
//! implementation by [`room_store_conformance!`](crate::room_store_conformance),
//! [`directory_store_conformance!`](crate::directory_store_conformance),
//! [`quarantine_store_conformance!`](crate::quarantine_store_conformance) and
//! [`secrets_store_conformance!`](crate::secrets_store_conformance).
//!
//! Each case gets an empty store of its own.

// These are tests; Clippy knows only those that carry the attribute.
#![allow(clippy::unwrap_used)]

pub mod directory;
pub mod quarantine;
pub mod rooms;
pub mod sealing;
pub mod secrets;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roomlog_eventlog::{Cursor, LogIdentity, PartitionCounts, TopicPartition};
use uuid::Uuid;

use crate::StoreError;

/// No case takes nearly as long, also where a server makes tables on a busy machine; one that does has
/// failed.
const DEADLINE: Duration = Duration::from_secs(180);

const P0: TopicPartition = TopicPartition::rooms(0);
const P1: TopicPartition = TopicPartition::rooms(1);

/// Where one store under test lies.
#[async_trait]
pub trait Backend<S: ?Sized>: Send + Sync + 'static {
    /// Opens the store; again with the same data after all that was opened before has been dropped.
    async fn open(&self) -> Arc<S>;
}

/// Defines one `#[tokio::test]` for each case of the room store's suite:
/// `room_store_conformance!(sqlite, Sqlite::new())`, where the expression gives an `Option` of a
/// [`Backend`](crate::conformance::Backend); `None` means that it cannot be tested here and that it
/// has said so.
#[macro_export]
macro_rules! room_store_conformance {
    ($name:ident, $backend:expr) => {
        $crate::store_conformance!(
            $name,
            rooms,
            $backend,
            a_new_store_is_empty,
            a_batch_is_there_with_its_cursor_and_after_a_restart,
            a_batch_from_another_cursor_is_refused_whole,
            a_batch_that_leaves_the_cursor_where_it_is_stores_its_rows,
            partitions_have_cursors_of_their_own,
            of_two_writers_of_one_batch_one_is_refused,
            events_come_from_a_seq_on,
            messages_come_in_pages_of_rising_seq,
            a_message_is_found_by_its_id_in_its_room,
            a_message_keeps_its_latest_text,
            intervals_follow_leaving_and_coming_back,
            a_membership_change_that_comes_again_changes_nothing,
            rooms_of_an_account_are_those_it_is_in_now,
            members_are_those_that_are_in_now,
            history_rules_rise_in_seq,
            a_store_beside_replaces_the_store_for_good,
            a_store_beside_that_was_not_promoted_is_dropped,
            nothing_is_promoted_that_was_not_built,
            readers_meet_whole_batches_while_there_is_writing,
            readers_go_on_while_the_store_is_replaced,
        );
    };
}

/// The same for the directory.
#[macro_export]
macro_rules! directory_store_conformance {
    ($name:ident, $backend:expr) => {
        $crate::store_conformance!(
            $name,
            directory,
            $backend,
            a_new_directory_is_empty,
            a_batch_is_there_with_its_cursor_and_after_a_restart,
            a_batch_from_another_cursor_is_refused_whole,
            a_batch_that_leaves_the_cursor_where_it_is_stores_its_rows,
            of_two_writers_of_one_batch_one_is_refused,
            a_room_keeps_its_members_and_seq_when_it_changes,
            an_imported_account_is_claimed,
            members_are_counted_exactly,
            counts_hold_over_random_batches,
            members_and_rooms_come_in_pages,
            members_have_the_role_that_was_set_last,
            roles_and_what_rooms_say_of_them_come_and_go,
            a_way_leads_from_the_root_to_the_room,
            a_large_batch_is_one_batch,
            a_directory_beside_replaces_the_directory_for_good,
            readers_meet_whole_batches_while_there_is_writing,
        );
    };
}

/// The same for the quarantine.
#[macro_export]
macro_rules! quarantine_store_conformance {
    ($name:ident, $backend:expr) => {
        $crate::store_conformance!(
            $name,
            quarantine,
            $backend,
            a_new_quarantine_is_empty,
            what_is_kept_is_there_in_order_and_after_a_restart,
            a_list_counts_and_names_the_first_error,
            what_is_kept_already_stays_as_it_is,
            nothing_follows_where_nothing_failed,
            a_quarantine_is_over_when_its_last_record_is_removed,
            a_retry_is_requested_and_ends,
            the_quarantine_of_a_rebuilt_projection_takes_the_place_of_the_old,
            of_many_that_keep_the_same_each_is_content,
        );
    };
}

/// The same for the secrets store, and for sealing on it.
#[macro_export]
macro_rules! secrets_store_conformance {
    ($name:ident, $backend:expr) => {
        $crate::store_conformance!($name, secrets, $backend,
            the_first_platform_key_wins,
            platform_keys_are_listed_by_prefix_and_removed,
            the_first_key_of_an_owner_wins_whoever_asks,
            keys_come_in_the_order_asked,
            a_reservation_is_new_once_and_then_existing,
            a_name_or_an_address_is_taken_once,
            of_two_registrations_at_once_one_is_new,
            a_voided_reservation_frees_its_names,
            an_active_reservation_stays,
            pending_reservations_come_oldest_first,
            a_credential_is_found_by_name_and_by_address,
            a_session_lives_until_it_expires_or_is_revoked,
            a_token_is_exchanged_once_and_its_reuse_revokes,
            of_many_that_exchange_one_token_one_succeeds,
            an_expired_token_is_unknown,
            a_revoked_session_stays_revoked,
            an_account_sees_its_live_sessions,
            sessions_that_ended_are_listed_by_the_time_of_their_end,
            a_session_made_again_has_the_new_token,
            a_claim_code_is_checked_replaced_and_removed,
            all_of_it_survives_a_restart,
        );
        $crate::store_conformance!(@more $name, sealing, $backend,
            what_is_sealed_opens_only_where_it_belongs,
            names_and_messages_have_keys_of_their_own,
            sealers_that_make_keys_at_once_agree,
            keys_outlive_the_process,
            stored_keys_are_wrapped,
            another_master_key_opens_nothing,
            a_key_that_is_gone_is_destroyed,
            keys_come_in_one_batch,
            a_forgotten_key_is_loaded_again,
            a_cache_over_its_limit_loads_again,
            fingerprints_depend_on_account_and_body,
            platform_keys_have_names,
            platform_keys_of_a_prefix_are_opened_under_their_names,
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance {
    ($name:ident, $suite:ident, $backend:expr, $($case:ident),+ $(,)?) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $crate::store_conformance!(@cases $suite, $backend, $($case),+);
        }
    };
    (@more $name:ident, $suite:ident, $backend:expr, $($case:ident),+ $(,)?) => {
        mod $suite {
            #[allow(unused_imports)]
            use super::*;
            mod $name {
                #[allow(unused_imports)]
                use super::*;
                $crate::store_conformance!(@cases $suite, $backend, $($case),+);
            }
        }
    };
    (@cases $suite:ident, $backend:expr, $($case:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let Some(backend) = $backend else { return };
                $crate::conformance::within_deadline($crate::conformance::$suite::$case(&backend)).await;
            }
        )+
    };
}

#[doc(hidden)]
pub async fn within_deadline(case: impl Future<Output = ()>) {
    // On the heap: cases are long.
    if tokio::time::timeout(DEADLINE, Box::pin(case)).await.is_err() {
        panic!("not within {DEADLINE:?}");
    }
}

fn cursor(partition: TopicPartition, next_offset: u64) -> Cursor {
    let identity = LogIdentity {
        log_id: Uuid::from_u128(0xfeed),
        partitions: PartitionCounts { accounts: 1, rooms: 2 },
    };
    let mut cursor = Cursor::start(identity, partition);
    cursor.next_offset = next_offset;
    cursor.record_time_ms = 1_000 + next_offset as i64;
    // More of them as the log goes on; none at first.
    cursor.announced = (0..next_offset.min(20) / 2).map(|n| format!("\"schema {n}\"")).collect();
    cursor
}

fn refused_as_moved<T: std::fmt::Debug>(result: Result<T, StoreError>, expected: u64, found: u64) {
    match result {
        Err(StoreError::CursorMoved { expected: e, found: f, .. }) => {
            assert_eq!((e, f), (expected, found));
        }
        other => panic!("the cursor should have moved: {other:?}"),
    }
}
