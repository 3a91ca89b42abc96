//! What the model says, to read.

use std::fmt::Write;

use super::constants::Constants;
use super::model::{Demand, Needs};

pub fn constants(constants: &Constants) -> String {
    let mut text = String::from("Constants\n");
    for (name, constant) in constants.all() {
        let _ = writeln!(text, "  {name:<40}{:>10}  {}", count(constant.value), constant.source);
    }
    text
}

pub fn needs(demand: &Demand, needs: &Needs, reached: &[(&str, f64, &str)]) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<40}{value:>14}");
    };
    line("messages/s", count(demand.rate));
    line("connected members of a room", count(demand.audience()));
    line("deliveries/s", count(demand.deliveries()));
    line("partitions of `rooms`", count(needs.partitions));
    line("command-api", count(needs.command_api));
    line("projectors", count(needs.projectors));
    line("query-api", count(needs.query_api));
    line("ws-fanout", count(needs.ws_fanout));
    line("Kafka brokers", count(needs.kafka));
    line("CQL nodes", count(needs.cql));
    line("PostgreSQL, cores", count(needs.postgres_cores));
    line("one ws-fanout to its clients, MB/s", count(needs.fan_out_network / 1e6));
    line("one ws-fanout, memory of sockets, MB", count(needs.fan_out_memory / 1e6));
    line("all ws-fanouts from Kafka, MB/s", count(needs.fan_out_reads / 1e6));
    line("log, GB a day, all copies", count(needs.log_growth / 1e9));
    line("room store, GB a day, all copies", count(needs.room_store_growth / 1e9));
    let head = format!("\n{} connections, machines of {} cores\n", count(demand.connections), demand.cores);
    let mut limits = String::new();
    match reached {
        [] => limits.push_str("  Within what the design can do.\n"),
        reached => {
            limits.push_str("  Past what the design can do, the worst first:\n");
            for (name, times, change) in reached {
                let _ = writeln!(limits, "    {name}: {times:.1} times the limit. Change: {change}.");
            }
        }
    }
    head + &text + &limits
}

/// With thousands apart; three digits are enough of a small number.
fn count(number: f64) -> String {
    if number < 100.0 && number.fract() != 0.0 {
        return format!("{number:.2}");
    }
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn numbers_can_be_read() {
        let shown = [0.25, 7.0, 999.6, 1_234_567.0].map(count);
        assert_eq!(shown, ["0.25", "7", "1,000", "1,234,567"]);
    }
}
