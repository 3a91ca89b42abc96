//! What a person types while a platform runs, to see what the others make of it.

use std::io::BufRead;

use anyhow::{Context, Result, bail};
use tokio::sync::mpsc;

use super::{Platform, READY_DEADLINE};

pub const HELP: &str =
    "type `kill NAME`, `end NAME`, `pause NAME`, `resume NAME` or `start NAME` to try out failures";

#[derive(Debug, PartialEq, Eq)]
pub struct Order {
    what: What,
    /// The process: `command-api-1`.
    name: String,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    /// SIGKILL
    Kill,
    /// SIGTERM
    End,
    /// SIGSTOP
    Pause,
    /// SIGCONT
    Resume,
    /// After it has ended
    Start,
}

impl Order {
    fn parse(line: &str) -> Result<Self> {
        let mut words = line.split_whitespace();
        let (Some(what), Some(name), None) = (words.next(), words.next(), words.next()) else {
            bail!("{HELP}");
        };
        let what = match what {
            "kill" => What::Kill,
            "end" => What::End,
            "pause" => What::Pause,
            "resume" => What::Resume,
            "start" => What::Start,
            _ => bail!("{HELP}"),
        };
        Ok(Self { what, name: name.to_owned() })
    }

    /// Returns when it is done; blocks until then.
    pub fn carry_out(&self, platform: &mut Platform) -> Result<&'static str> {
        let process = platform.process(&self.name)?;
        match self.what {
            What::Kill => process.kill().map(|_| "is killed"),
            What::End => process.terminate().map(|()| "has ended"),
            What::Pause => process.pause().map(|()| "is paused"),
            What::Resume => process.resume().map(|()| "goes on"),
            What::Start => {
                process.start_again()?;
                process.wait_until_ready(READY_DEADLINE).map(|()| "is ready")
            }
        }
        .with_context(|| format!("cannot {:?} {}", self.what, self.name))
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What stands on standard input, line by line, until it ends. Its own thread: a runtime cannot stop waiting for a line.
pub fn from_standard_input() -> mpsc::UnboundedReceiver<Result<Order>> {
    let (send, orders) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if !line.trim().is_empty() && send.send(Order::parse(&line)).is_err() {
                return;
            }
        }
    });
    orders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_two_words() {
        let order = Order::parse(" kill command-api-1 ").unwrap();
        assert_eq!(order, Order { what: What::Kill, name: "command-api-1".to_owned() });
        for line in ["kill", "shoot command-api-1", "kill command-api-1 now"] {
            assert!(Order::parse(line).is_err(), "{line}");
        }
    }
}
