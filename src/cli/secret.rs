//! `exeat secret`: what is in the encrypted store. Values go in and are never shown again.

use std::io::{IsTerminal as _, Read as _, stdin};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use crate::app;
use crate::cli::{Verdict, WithSettings, load};
use crate::name::SecretName;
use crate::secret::Secret;
use crate::vault::{MAX_SECRET, Store, Stored};

/// Keep secrets in an encrypted file, for `{store: NAME}` in a policy
#[derive(Args)]
pub(super) struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Put a secret in, or another value in its place
    ///
    /// The value is asked for, or read from standard input where that is not a terminal; one line ending is dropped. It
    /// is never an argument: arguments can be read by every user of a machine and stay in a shell's history. A running
    /// proxy uses the new value from its next request on.
    Set(Set),
    /// Show the names and when each was set
    List(List),
    /// Take a secret out
    Remove(Named),
}

#[derive(Args)]
struct Named {
    #[command(flatten)]
    with: WithSettings,
    /// The name in the store; a policy uses it as `{store: NAME}`
    name: String,
}

#[derive(Args)]
struct Set {
    #[command(flatten)]
    named: Named,
    /// Caught, so that the message can say why it is not taken, without repeating it
    #[arg(hide = true)]
    value: Vec<String>,
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    with: WithSettings,
    /// A JSON array for programs instead of text for people
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(super) fn run(self) -> anyhow::Result<Verdict> {
        match self.verb {
            Verb::Set(it) => set(it),
            Verb::List(list) => show(list),
            Verb::Remove(named) => remove(named),
        }
    }
}

fn set(it: Set) -> anyhow::Result<Verdict> {
    if !it.value.is_empty() {
        bail!(
            "a value is never an argument, which others on this machine can read; run the command without it, and \
             replace the value at its issuer if it was real"
        );
    }
    let (store, name) = opened(it.named)?;
    let secret = value(&name)?;
    let replaced = store.set(&name, secret, OffsetDateTime::now_utc())?;
    let what = if replaced {
        "has a new value"
    } else {
        "is set"
    };
    println!("{name} {what}; use it in a policy as {{store: {name}}}");
    Ok(Verdict::Good)
}

fn show(list: List) -> anyhow::Result<Verdict> {
    let settings = load::settings(list.with)?;
    let stored = app::store(&settings.state_dir).list()?;
    if list.json {
        let entry = |it: &Stored| json!({"name": it.name.as_str(), "set": when(it)});
        println!("{}", json!(stored.iter().map(entry).collect::<Vec<_>>()));
    } else if stored.is_empty() {
        println!("there is no secret; run: exeat secret set NAME");
    } else {
        let mut table = Table::new();
        table.load_preset(NOTHING).set_header(["NAME", "SET"]);
        table.add_rows(stored.iter().map(|it| [it.name.to_string(), when(it)]));
        println!("{}", table.trim_fmt());
    }
    Ok(Verdict::Good)
}

fn remove(named: Named) -> anyhow::Result<Verdict> {
    let (store, name) = opened(named)?;
    if store.remove(&name)? {
        println!("{name} is removed");
        return Ok(Verdict::Good);
    }
    eprintln!("exeat: there is no secret {name}; `exeat secret list` shows those that are there");
    Ok(Verdict::Findings)
}

fn opened(named: Named) -> anyhow::Result<(Store, SecretName)> {
    let Ok(name) = SecretName::parse(&named.name) else {
        // Not repeated: who mixes up name and value has put the value there.
        bail!("NAME: a name has 1 to 64 letters, digits, `_` or `-`, and is not `none`");
    };
    let settings = load::settings(named.with)?;
    Ok((app::store(&settings.state_dir), name))
}

fn value(name: &SecretName) -> anyhow::Result<Secret> {
    let bytes = if stdin().is_terminal() {
        let prompt = format!("Value of {name} (it does not show): ");
        let typed = rpassword::prompt_password(prompt).context("the value was not read")?;
        Zeroizing::new(typed.into_bytes())
    } else {
        piped()?
    };
    if bytes.len() > MAX_SECRET {
        bail!("the value has more than {MAX_SECRET} bytes; is it the right one?");
    }
    Ok(Secret::new(bytes.to_vec())?)
}

fn piped() -> anyhow::Result<Zeroizing<Vec<u8>>> {
    // Room for all that is read at once: growing would leave parts behind in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 64));
    let mut limited = stdin().lock().take(MAX_SECRET as u64 + 3);
    let read = limited.read_to_end(&mut bytes);
    read.context("the value on standard input")?;
    let length = without_line_ending(&bytes);
    bytes.truncate(length);
    Ok(bytes)
}

/// The length without one line ending, which `echo` and editors leave behind.
fn without_line_ending(bytes: &[u8]) -> usize {
    match bytes {
        [rest @ .., b'\r', b'\n'] | [rest @ .., b'\n'] => rest.len(),
        _ => bytes.len(),
    }
}

fn when(stored: &Stored) -> String {
    let written = stored.set.format(&Rfc3339);
    written.expect("the store holds whole seconds of years that RFC 3339 can write")
}
