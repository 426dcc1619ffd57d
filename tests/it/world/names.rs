//! Scripted DNS that writes down every question.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

use exeat::dial::{Answer, Lookup, Resolve};
use exeat::fault::{Fault, FaultKind};
use exeat::request::Host;

/// Names and what was asked.
#[derive(Default)]
pub(super) struct Names {
    table: Mutex<HashMap<String, Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
    /// Asked for this one, it panics.
    broken: Mutex<Option<String>>,
}

impl Names {
    /// The names of the attack cases' world.
    pub(super) fn usual() -> Self {
        let names = Self::default();
        for (host, address) in [
            ("api.good.test", "203.0.114.10"),
            ("api.two.test", "203.0.114.20"),
            ("a.wild.test", "203.0.114.30"),
            ("evil.test", "203.0.114.66"),
            ("priv.test", "10.0.0.5"),
        ] {
            names.script(host, vec![address.parse().unwrap()]);
        }
        names
    }

    pub(super) fn script(&self, host: &str, addresses: Vec<IpAddr>) {
        self.table.lock().unwrap().insert(host.into(), addresses);
    }

    pub(super) fn addresses(&self, host: &str) -> Vec<IpAddr> {
        self.table.lock().unwrap().get(host).cloned().unwrap()
    }

    pub(super) fn break_on(&self, host: Option<&str>) {
        *self.broken.lock().unwrap() = host.map(str::to_owned);
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolve for Names {
    fn lookup<'a>(&'a self, host: &'a Host) -> Lookup<'a> {
        self.asked.lock().unwrap().push(host.to_string());
        let broken = self.broken.lock().unwrap().clone();
        assert_ne!(broken.as_deref(), Some(host.as_str()), "as it was scripted");
        let found = self.table.lock().unwrap().get(host.as_str()).cloned();
        let answer = found
            .map(|addresses| addresses.into_iter().map(Answer::from).collect())
            .ok_or_else(|| Fault::new(FaultKind::Unreachable, "no such name in this world"));
        Box::pin(std::future::ready(answer))
    }
}
