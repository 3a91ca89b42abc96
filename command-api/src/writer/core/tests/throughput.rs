use super::bench::*;
use roomlog_domain::Command;
use roomlog_domain::command::SendMessage;
use roomlog_schemas::MessageId;
use bytes::Bytes;

#[test]
#[ignore]
fn throughput() {
    let mut bench = Bench::with_room();
    let n = 100_000u64;
    let t = std::time::Instant::now();
    let mut done = 0;
    while done < n {
        for i in 0..100 {
            let message_id = MessageId::from_u128(u128::from(done + i) + 10);
            let c = Command::SendMessage(SendMessage { room_id: ROOM, message_id, author_id: ALICE, text: Bytes::from_static(&[7; 256]), reply_to: None });
            bench.ask_keyed(ALICE, key((done + i) as i64 / 100), 0, c);
        }
        done += 100;
        bench.now += 1;
        bench.settle();
        bench.log.clear();
        bench.forget();
    }
    println!("{:.0} commands/s", n as f64 / t.elapsed().as_secs_f64());
}
