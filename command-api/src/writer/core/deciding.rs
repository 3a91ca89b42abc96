//! Deciding what is queued, sending what was decided, and releasing the decisions that wrote nothing.

use bytes::Bytes;
use roomlog_domain::{Answer, Decision};
use roomlog_eventlog::frame::{HEADER_LEN, MAX_RECORD_LEN, encode_record};
use roomlog_eventlog::{Kind, NewRecord};
use roomlog_schemas::Event;

use super::requests::{Decided, Waiting};
use super::{Core, Effect, InFlight, Mode, SentCommand, scoped_key};
use crate::writer::encode::{Encoded, encode};
#[cfg(test)]
use crate::writer::mutation::{Mutation, mutated};
use crate::writer::request::{Millis, Outcome, Request, RequestId};
use crate::writer::window::{Lookup, ScopedKey};

impl Core {
    pub(super) fn decide_queue(&mut self) {
        while self.is_owner()
            && !self.yielding
            && self.in_flight.len() < self.options.max_in_flight
            && let Some(id) = self.requests.first_queued()
        {
            self.decide(id);
        }
    }

    /// The answer to a request whose key has been used, by a record that has been read back.
    pub(super) fn used(&self, request: &Request) -> Option<Outcome> {
        let (scoped, (_, fingerprint)) = scoped_key(request).zip(request.key.as_ref())?;
        match self.window.look_up(scoped, self.follower.record_time_ms()) {
            Lookup::Used(entry) if entry.fingerprint == fingerprint => {
                Some(Outcome::Accepted { answer: entry.answer, offset: entry.offset })
            }
            Lookup::Used(_) => Some(Outcome::KeyReused),
            Lookup::Refused | Lookup::Unused => None,
        }
    }

    /// Takes a request out of the queue: it gets its answer or waits for something else.
    fn decide(&mut self, id: RequestId) {
        let (Some(pending), Mode::Owning(speculative)) = (self.requests.get(id), &self.mode) else { return };
        if pending.deadline <= self.clock.elapsed() {
            let outcome = self.unanswered(id);
            self.respond(id, outcome);
            return;
        }
        let request = &pending.request;
        let now = self.clock.wall();
        if now < speculative.record_time_ms {
            metrics::counter!("roomlog_writer_time_stands_still_total").increment(1);
        }
        let record_time_ms = speculative.record_time_ms.max(now);
        let scoped = scoped_key(request);
        if let Some(scoped) = scoped {
            if let Some(&ordinal) = self.keys_in_flight.get(&scoped) {
                self.repeats.entry(ordinal).or_default().push(id);
                self.requests.wait(id, Waiting::Repeat);
                return;
            }
            let known = match self.window.look_up(scoped, record_time_ms) {
                Lookup::Used(_) => self.used(request),
                Lookup::Refused => Some(Outcome::KeyExpired),
                Lookup::Unused => None,
            };
            if let Some(outcome) = known {
                self.respond(id, outcome);
                return;
            }
        }
        match speculative.state.decide(&request.command, &request.context) {
            Err(rejection) => self.wait_for_release(id, Decided::Rejected(rejection)),
            Ok(Decision::Unchanged(answer)) => self.wait_for_release(id, Decided::Unchanged(answer)),
            Ok(Decision::Events(events)) => {
                let announced = |fingerprint| {
                    self.follower.announced().contains(fingerprint)
                        || speculative.announced.contains(&fingerprint)
                };
                match encode(request, &events, record_time_ms, announced) {
                    // One command that does not encode is no reason to stop the partition.
                    Err(error) => {
                        metrics::counter!("roomlog_writer_encode_failures_total").increment(1);
                        tracing::error!(partition = %self.partition(), command = request.command.name(), %error, "a command's events do not encode: not written");
                        self.respond(id, Outcome::Unavailable);
                    }
                    Ok(encoded) if HEADER_LEN + encoded.body.len() > MAX_RECORD_LEN => {
                        self.wait_for_release(id, Decided::TooLarge);
                    }
                    Ok(encoded) => self.send(id, scoped, &events, encoded, record_time_ms),
                }
            }
        }
    }

    fn send(
        &mut self,
        id: RequestId,
        scoped: Option<ScopedKey>,
        events: &[Event],
        encoded: Encoded,
        record_time_ms: Millis,
    ) {
        for (fingerprint, json) in encoded.announcements {
            let headers = vec![("type", "schema".into())];
            self.append(Kind::Schema, json.as_bytes(), Bytes::new(), headers, None);
            if let Mode::Owning(speculative) = &mut self.mode {
                speculative.announced.insert(fingerprint);
            }
        }
        let Mode::Owning(speculative) = &mut self.mode else { return };
        speculative.record_time_ms = record_time_ms;
        for event in events {
            speculative.state.apply(event);
        }
        let answer = Answer::from_events(events);
        let fingerprint =
            self.requests.get(id).and_then(|pending| pending.request.key.clone()).map(|(_, f)| f);
        let command = SentCommand { request: id, key: scoped.zip(fingerprint), answer };
        self.append(Kind::Command, &encoded.body, encoded.key, encoded.headers, Some(command));
        if let Some(scoped) = scoped {
            self.keys_in_flight.insert(scoped, self.sent);
        }
        self.requests.wait(id, Waiting::ReadBack);
    }

    fn append(
        &mut self,
        kind: Kind,
        body: &[u8],
        key: Bytes,
        headers: Vec<(&'static str, String)>,
        command: Option<SentCommand>,
    ) {
        let Mode::Owning(speculative) = &mut self.mode else { return };
        let value = encode_record(kind, speculative.claim_id, speculative.head, body);
        speculative.head = speculative.head.extend(&value);
        self.sent += 1;
        self.in_flight.push_back(InFlight {
            ordinal: self.sent,
            value: value.clone(),
            command,
            state_after: speculative.state.clone(),
            record_time_ms: speculative.record_time_ms,
            sent_at: self.clock.elapsed(),
        });
        self.effects.push(Effect::Append { token: self.sent, record: NewRecord { value, key, headers } });
    }

    fn wait_for_release(&mut self, id: RequestId, decided: Decided) {
        let query = self.ends.ask();
        self.releases.push_back(id);
        self.requests.wait(id, Waiting::Release { decided, basis: self.sent, query });
    }

    /// Answers the decisions that wrote nothing whose time has come.
    pub(super) fn release(&mut self) {
        while let Some(&id) = self.releases.front() {
            // Whoever reached its deadline has its answer.
            if let Some(Waiting::Release { decided, basis, query }) = self.requests.get(id).map(|p| p.waiting)
            {
                if !self.may_release(basis, query) {
                    return;
                }
                self.respond(id, decided.outcome(self.follower.next_offset()));
            }
            self.releases.pop_front();
        }
    }

    fn may_release(&self, basis: u64, query: u64) -> bool {
        let read_back = self.read_back >= basis || self.in_flight.is_empty();
        #[cfg(test)]
        if mutated(Mutation::RejectWithoutLogEnd) {
            return read_back;
        }
        // An own record sent after the decision and read back shows the log's end as well.
        read_back && (self.ends.reached(query) || self.read_back > basis)
    }
}
