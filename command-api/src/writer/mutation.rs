//! Breaks one rule of the writer on purpose: the simulation has to notice. Test builds only.

use std::cell::Cell;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    NoChainCheck,
    AcknowledgeOnDelivery,
    SettleOnDeliveryError,
    WindowNotRebuilt,
    EvictByRecordTime,
    RejectWithoutLogEnd,
    NoResetAfterFailure,
}

impl Mutation {
    pub const ALL: &'static [Mutation] = &[
        Mutation::NoChainCheck,
        Mutation::AcknowledgeOnDelivery,
        Mutation::SettleOnDeliveryError,
        Mutation::WindowNotRebuilt,
        Mutation::EvictByRecordTime,
        Mutation::RejectWithoutLogEnd,
        Mutation::NoResetAfterFailure,
    ];
}

thread_local! {
    static ACTIVE: Cell<Option<Mutation>> = const { Cell::new(None) };
}

pub fn set(mutation: Option<Mutation>) {
    ACTIVE.set(mutation);
    roomlog_eventlog::chain::mutation::set_without_chain_check(mutation == Some(Mutation::NoChainCheck));
}

pub fn mutated(mutation: Mutation) -> bool {
    ACTIVE.get() == Some(mutation)
}
