//! What was imported before the faults is shown as its file has it: each line once and in order, with author, text,
//! time and reply link; besides, only the memberships that the lines lack.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use super::stores::first_difference;
use super::{Invariant, Violation};
use crate::chaos::history::{Conversation, Happening, History, Kind, Line, Seq, ShownRoom};

/// An event of a room, in the file's own terms.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row<'a> {
    seq: Seq,
    who: &'a str,
    what: What<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What<'a> {
    Created,
    Joined,
    Left,
    Said { id: &'a str, text: Option<&'a str>, reply_to: Option<&'a str>, time_ms: i64 },
    Noted { kind: Kind, to: Option<&'a str>, time_ms: i64 },
}

pub fn check(history: &History) -> Vec<Violation> {
    history.conversation.as_ref().map(check_conversation).unwrap_or_default()
}

fn check_conversation(conversation: &Conversation) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut report = |what: String| violations.push(Violation::new(Invariant::Conversation, what));
    let mut of_rooms: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in &conversation.lines {
        of_rooms.entry(&line.room).or_default().push(line);
    }
    let owner = conversation.names.get(&conversation.owner).map_or("nobody", String::as_str);
    let names: BTreeSet<&String> = conversation.names.values().collect();
    if names.len() != conversation.names.len() {
        report(format!("{} accounts have {} names", conversation.names.len(), names.len()));
    }
    for (path, lines) in &of_rooms {
        let Some(shown) = conversation.shown.get(*path) else {
            report(format!("{path} is missing"));
            continue;
        };
        let expected = expected(lines, owner);
        if let Some((_, what)) = first_difference(&rows(shown, conversation), &expected) {
            report(format!("{path}: {what}"));
        }
        let said: Vec<Row<'_>> =
            expected.into_iter().filter(|row| matches!(row.what, What::Said { .. })).collect();
        if let Some((_, what)) = first_difference(&messages(shown, conversation), &said) {
            report(format!("messages of {path}: {what}"));
        }
    }
    for (path, shown) in conversation.shown.iter().filter(|(path, _)| !of_rooms.contains_key(path.as_str())) {
        // Whoever is below has to be here as well; in which order depends on how the rooms took turns.
        let below = format!("{path}/");
        let within = conversation.lines.iter().filter(|line| line.room.starts_with(&below));
        let come = within.filter(|line| matches!(line.kind, Kind::Message | Kind::Join));
        let expected: BTreeSet<&str> = come.map(|line| line.author.as_str()).chain([owner]).collect();
        let all = rows(shown, conversation);
        let joined: Vec<&str> =
            all.iter().filter(|row| row.what == What::Joined).map(|row| row.who).collect();
        let is_nothing_else = all.len() == joined.len() + 1 && all[0].what == What::Created;
        if !is_nothing_else
            || joined.len() != expected.len()
            || joined.iter().any(|who| !expected.contains(who))
        {
            report(format!("{path} has {} events instead of one and {} joinings", all.len(), expected.len()));
        }
    }
    violations
}

/// What a room with these lines shows, if no room below it has lines.
fn expected<'a>(lines: &[&'a Line], owner: &'a str) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    let mut members = BTreeSet::from([owner]);
    let push = |rows: &mut Vec<Row<'a>>, who, what| {
        rows.push(Row { seq: rows.len() as Seq + 1, who, what });
    };
    push(&mut rows, owner, What::Created);
    push(&mut rows, owner, What::Joined);
    for line in lines {
        let who = line.author.as_str();
        let noted = || What::Noted { kind: line.kind, to: line.to.as_deref(), time_ms: line.time_ms };
        let what = match line.kind {
            Kind::Message => {
                if members.insert(who) {
                    push(&mut rows, who, What::Joined);
                }
                What::Said {
                    id: &line.id,
                    text: line.text.as_deref(),
                    reply_to: line.reply_to.as_deref(),
                    time_ms: line.time_ms,
                }
            }
            Kind::Join if members.insert(who) => What::Joined,
            Kind::Leave if who != owner && members.remove(who) => What::Left,
            Kind::Join | Kind::Leave | Kind::Rename => noted(),
        };
        push(&mut rows, who, what);
    }
    rows
}

/// The timeline as it was shown. Of messages it has no more than their ids: the rest is the history's.
fn rows<'a>(shown: &'a ShownRoom, conversation: &'a Conversation) -> Vec<Row<'a>> {
    let said: HashMap<Uuid, Row<'a>> =
        shown.messages.iter().map(|said| said.message).zip(messages(shown, conversation)).collect();
    let row = |entry: &'a crate::chaos::history::Entry| {
        let (account, what) = match &entry.happening {
            Happening::Created { by } => (by, What::Created),
            Happening::Joined { account } => (account, What::Joined),
            Happening::Left { account } => (account, What::Left),
            Happening::Noted { account, kind, to, time_ms } => {
                let to = to.as_ref().map(|to| name(conversation, to));
                (account, What::Noted { kind: *kind, to, time_ms: *time_ms })
            }
            Happening::Said { message, author } => {
                let missing = What::Said { id: "missing", text: None, reply_to: None, time_ms: 0 };
                (author, said.get(message).map_or(missing, |row| row.what.clone()))
            }
        };
        Row { seq: entry.seq, who: name(conversation, account), what }
    };
    shown.events.iter().map(row).collect()
}

fn messages<'a>(shown: &'a ShownRoom, conversation: &'a Conversation) -> Vec<Row<'a>> {
    let ids: HashMap<Uuid, &str> =
        shown.messages.iter().map(|said| (said.message, said.source_id.as_str())).collect();
    let row = |said: &'a crate::chaos::history::Said| Row {
        seq: said.seq,
        who: name(conversation, &said.author),
        what: What::Said {
            id: &said.source_id,
            text: said.text.as_deref(),
            reply_to: said.reply_to.map(|to| ids.get(&to).copied().unwrap_or("nothing")),
            time_ms: said.time_ms,
        },
    };
    shown.messages.iter().map(row).collect()
}

fn name<'a>(conversation: &'a Conversation, account: &Uuid) -> &'a str {
    conversation.names.get(account).map_or("nobody", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::super::testing::broken;
    use super::*;
    use crate::chaos::history::{Entry, Said};

    const OWNER: Uuid = Uuid::from_u128(1);
    const ANN: Uuid = Uuid::from_u128(2);
    const BEN: Uuid = Uuid::from_u128(3);

    fn line(id: &str, kind: Kind, author: &str) -> Line {
        let (id, room, author) = (id.to_owned(), "town/hall".to_owned(), author.to_owned());
        let text = (kind == Kind::Message).then(|| format!("text {id}"));
        Line { id, time_ms: 9, room, kind, author, text, reply_to: None, to: None }
    }

    /// Ann speaks, Ben comes, answers and goes, and Ann takes his name.
    fn conversation() -> Conversation {
        let mut lines = vec![
            line("1", Kind::Message, "ann"),
            line("2", Kind::Join, "ben"),
            line("3", Kind::Message, "ben"),
            line("4", Kind::Leave, "ben"),
            line("5", Kind::Rename, "ann"),
        ];
        lines[2].reply_to = Some("1".to_owned());
        lines[4].to = Some("ben".to_owned());
        let [first, second] = [101, 103].map(Uuid::from_u128);
        let of = |all: Vec<Happening>| {
            (1..).zip(all).map(|(seq, happening)| Entry { seq, happening }).collect::<Vec<_>>()
        };
        let hall = of(vec![
            Happening::Created { by: OWNER },
            Happening::Joined { account: OWNER },
            Happening::Joined { account: ANN },
            Happening::Said { message: first, author: ANN },
            Happening::Joined { account: BEN },
            Happening::Said { message: second, author: BEN },
            Happening::Left { account: BEN },
            Happening::Noted { account: ANN, kind: Kind::Rename, to: Some(BEN), time_ms: 9 },
        ]);
        let said = |seq, message, author, id: &str, reply_to| Said {
            seq,
            message,
            author,
            source_id: id.to_owned(),
            text: Some(format!("text {id}")),
            reply_to,
            time_ms: 9,
        };
        let messages = vec![said(4, first, ANN, "1", None), said(6, second, BEN, "3", Some(first))];
        let town = of(vec![
            Happening::Created { by: OWNER },
            Happening::Joined { account: OWNER },
            Happening::Joined { account: ANN },
            Happening::Joined { account: BEN },
        ]);
        let names = [(OWNER, "irc"), (ANN, "ann"), (BEN, "ben")].map(|(id, name)| (id, name.to_owned()));
        let shown = [
            ("town".to_owned(), ShownRoom { events: town, messages: Vec::new() }),
            ("town/hall".to_owned(), ShownRoom { events: hall, messages }),
        ];
        Conversation { lines, owner: OWNER, shown: shown.into(), names: names.into() }
    }

    #[test]
    fn a_conversation_that_is_as_its_file_passes() {
        let found = check_conversation(&conversation());
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn everything_that_is_missing_too_many_or_wrong_is_caught() {
        fn hall(conversation: &mut Conversation) -> &mut ShownRoom {
            conversation.shown.get_mut("town/hall").unwrap()
        }
        for break_it in [
            (|c| hall(c).messages[1].text = Some("text 3 ".to_owned())) as fn(&mut Conversation),
            |c| hall(c).messages[1].author = ANN,
            |c| hall(c).messages[1].reply_to = None,
            |c| hall(c).messages[1].reply_to = Some(Uuid::from_u128(9)),
            |c| hall(c).messages[1].time_ms += 1,
            |c| hall(c).messages[1].source_id = "4".to_owned(),
            |c| hall(c).messages.swap(0, 1),
            |c| {
                hall(c).messages.pop();
            },
            |c| {
                let again = hall(c).messages[1].clone();
                hall(c).messages.push(again);
            },
            |c| {
                hall(c).events.pop();
            },
            |c| {
                hall(c).events.remove(2);
            },
            |c| {
                let again = hall(c).events[3].clone();
                hall(c).events.push(again);
            },
            |c| hall(c).events[4].happening = Happening::Joined { account: ANN },
            |c| {
                c.shown.remove("town/hall");
            },
            |c| {
                c.shown.get_mut("town").unwrap().events.pop();
            },
            |c| {
                let town = c.shown.get_mut("town").unwrap();
                town.events[3].happening = Happening::Joined { account: ANN };
                town.events.push(Entry { seq: 5, happening: Happening::Left { account: BEN } });
            },
            |c| {
                c.names.insert(BEN, "ann".to_owned());
            },
            |c| c.lines[0].text = Some("other".to_owned()),
        ] {
            let mut conversation = conversation();
            break_it(&mut conversation);
            assert!(broken(&check_conversation(&conversation), Invariant::Conversation));
        }
    }
}
