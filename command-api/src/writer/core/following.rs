//! Following the log: what each record that is read means to this writer.

use roomlog_domain::Answer;
use roomlog_eventlog::{Content, LogRecord, Outcome as Followed, SkipReason};

use super::Core;
use super::requests::Waiting;
#[cfg(test)]
use crate::writer::mutation::{Mutation, mutated};
use crate::writer::request::Outcome;

impl Core {
    pub(super) fn record(&mut self, record: &LogRecord) {
        let claim_before = self.follower.chain().claim_id();
        let own = self.in_flight.front().is_some_and(|sent| sent.value == record.value);
        let followed = match self.in_flight.front() {
            // Decoded before it was sent.
            Some(sent) if own && sent.command.is_some() => {
                self.follower.follow_own(record, sent.record_time_ms)
            }
            _ => self.follower.follow(record),
        };
        match followed {
            Err(error) => {
                let reason =
                    format!("{}: {error}: {:?}", self.partition(), std::error::Error::source(&error));
                self.stop(reason);
            }
            Ok(Followed::Skipped(reason)) => {
                metrics::counter!("roomlog_log_skipped_records_total", "reader" => "writer", "reason" => reason.name())
                    .increment(1);
                self.skipped(record, reason);
            }
            Ok(Followed::Accepted(accepted)) => match accepted.content {
                Content::Claim { claim_id, .. } => self.claimed(claim_id, record.append_time_ms),
                Content::Own | Content::Schema(_) if own => self.own_record_accepted(accepted.offset),
                Content::Own => {}
                Content::Schema(_) | Content::Command(_) if self.own_claim == Some(claim_before) => {
                    self.stop(format!(
                        "{}: offset {} was accepted under this owner's claim, but this owner did not send it",
                        self.partition(),
                        accepted.offset
                    ));
                }
                Content::Schema(_) => {}
                Content::Command(command) => self.follow_command(&command, accepted.offset),
            },
        }
    }

    fn follow_command(&mut self, command: &roomlog_eventlog::Command, offset: u64) {
        for event in &command.events {
            self.state.apply(event);
        }
        #[cfg(test)]
        if mutated(Mutation::WindowNotRebuilt) {
            return;
        }
        if let (Some(actor), Some(key), Some(fingerprint)) =
            (command.actor, command.key, &command.fingerprint)
        {
            let answer = Answer::from_events(&command.events);
            self.window.accept((actor, key), fingerprint.clone(), answer, offset, command.record_time_ms);
        }
    }

    fn own_record_accepted(&mut self, offset: u64) {
        let Some(sent) = self.in_flight.pop_front() else { return };
        self.read_back = sent.ordinal;
        self.state = sent.state_after;
        let Some(command) = sent.command else { return };
        if let Some((scoped, fingerprint)) = command.key {
            self.keys_in_flight.remove(&scoped);
            self.window.accept(scoped, fingerprint, command.answer, offset, sent.record_time_ms);
        }
        self.respond(command.request, Outcome::Accepted { answer: command.answer, offset });
        for id in self.repeats.remove(&sent.ordinal).unwrap_or_default() {
            match self.requests.get(id).and_then(|pending| self.used(&pending.request)) {
                Some(outcome) => self.respond(id, outcome),
                None => self.requests.wait(id, Waiting::Decision),
            }
        }
    }

    /// A record that does not count: if it is one in flight, this owner's picture is wrong.
    fn skipped(&mut self, record: &LogRecord, reason: SkipReason) {
        // Under the claim that its record in flight has, there is only one other reason: its place.
        if self.is_owner()
            && reason == SkipReason::NotOnHead
            && self.in_flight.iter().any(|sent| sent.value == record.value)
        {
            self.reset();
        }
    }
}
