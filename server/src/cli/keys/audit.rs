//! `roomlog keys audit list|rotate`: in the secrets store, or in the operator's file.

use clap::Subcommand;
use roomlog_audit::keeper::Keys;
use roomlog_audit::{Archive, Keeper, KeyChain};

use super::open;
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The public keys in their order. The first is the one to pin.
    List {
        /// As JSON, one line each.
        #[arg(long)]
        json: bool,
    },
    /// Add a key, signed by the one before, whose secret half is then destroyed. Makes the first one where there is
    /// none. Processes that run sign with it within a minute.
    Rotate,
}

pub async fn run(command: Command, config: &Config) -> anyhow::Result<()> {
    let keeper = match &config.audit_key_file {
        Some(file) => Keeper::File(file.clone()),
        None => {
            let (sealer, secrets) = open(config).await?;
            Keeper::Store { sealer, secrets }
        }
    };
    let now = roomlog_audit::signer::now();
    match command {
        Command::List { json } => list(&keeper.load(now).await?.chain, json),
        Command::Rotate => {
            let Keys { chain, .. } = keeper.rotate(now).await?;
            // Auditors should have it before it signs. A running command-api tries as well.
            if let Err(error) = Archive::new(config.objects()?).publish(&chain).await {
                eprintln!("The new key is not published yet: {error}");
            }
            eprintln!("Back the secret half up now: without it the chain of keys ends here.");
            list(&chain, false)
        }
    }
}

fn list(chain: &KeyChain, json: bool) -> anyhow::Result<()> {
    if !json {
        println!("{:<6} {:<64} since", "number", "public key");
    }
    for key in chain.keys() {
        match json {
            true => println!("{}", serde_json::to_string(key)?),
            false => println!("{:<6} {:<64} {}", key.number, key.key, key.time),
        }
    }
    Ok(())
}
