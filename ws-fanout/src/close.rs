//! Why a socket is closed; the table is in `docs/asyncapi.yaml`.

use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client broke the WebSocket protocol.
    ProtocolError,
    /// A text frame was not UTF-8.
    InvalidText,
    /// A message of the client was larger than allowed.
    TooLarge,
    /// This process stops: connect again, to another one, and resume.
    Restart,
    /// The stream cannot start now: connect again after a moment.
    TryLater,
    /// A frame was not understood, or not sent when it may be.
    Malformed,
    /// The token expired, or the session ended.
    Unauthorized,
    /// The first frame did not come, or nothing was heard for too long.
    TimeOut,
    /// The positions are of another log: sync afresh.
    OtherLog,
    /// The client reads more slowly than events come: resume.
    SlowConsumer,
}

impl CloseReason {
    pub const ALL: [Self; 10] = [
        Self::ProtocolError,
        Self::InvalidText,
        Self::TooLarge,
        Self::Restart,
        Self::TryLater,
        Self::Malformed,
        Self::Unauthorized,
        Self::TimeOut,
        Self::OtherLog,
        Self::SlowConsumer,
    ];

    pub const fn code(self) -> u16 {
        match self {
            Self::ProtocolError => 1002,
            Self::InvalidText => 1007,
            Self::TooLarge => 1009,
            Self::Restart => 1012,
            Self::TryLater => 1013,
            Self::Malformed => 4400,
            Self::Unauthorized => 4401,
            Self::TimeOut => 4408,
            Self::OtherLog => 4409,
            Self::SlowConsumer => 4429,
        }
    }

    /// For people who read a client's log.
    pub const fn text(self) -> &'static str {
        match self {
            Self::ProtocolError => "protocol error",
            Self::InvalidText => "text is not UTF-8",
            Self::TooLarge => "message too large",
            Self::Restart => "restart: resume elsewhere",
            Self::TryLater => "not now: try again later",
            Self::Malformed => "malformed frame",
            Self::Unauthorized => "token expired or session ended",
            Self::TimeOut => "nothing heard in time",
            Self::OtherLog => "other log: sync afresh",
            Self::SlowConsumer => "slow consumer: resume",
        }
    }

    pub(crate) fn frame(self) -> CloseFrame {
        CloseFrame { code: CloseCode::from(self.code()), reason: self.text().into() }
    }
}
