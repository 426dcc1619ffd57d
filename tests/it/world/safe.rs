//! Scripted secrets that write down who was asked for.

use std::collections::HashMap;
use std::sync::Mutex;

use exeat::fault::{Fault, FaultKind};
use exeat::name::SecretName;
use exeat::policy::SecretSource;
use exeat::secret::Secret;
use exeat::vault::{Getting, Vault};

pub(super) struct Safe {
    secrets: Mutex<HashMap<String, String>>,
    fetched: Mutex<Vec<String>>,
    /// Asked for this one, it panics.
    broken: Mutex<Option<String>>,
}

impl Safe {
    pub(super) fn holding(secrets: Vec<(String, String)>) -> Self {
        Self {
            secrets: Mutex::new(secrets.into_iter().collect()),
            fetched: Mutex::default(),
            broken: Mutex::default(),
        }
    }

    pub(super) fn lose(&self, name: &str) {
        self.secrets.lock().unwrap().remove(name);
    }

    pub(super) fn break_on(&self, name: Option<&str>) {
        *self.broken.lock().unwrap() = name.map(str::to_owned);
    }

    pub(super) fn change(&self, name: &str, value: &str) {
        let mut secrets = self.secrets.lock().unwrap();
        secrets.insert(name.into(), value.into());
    }

    pub(super) fn fetched(&self) -> Vec<String> {
        self.fetched.lock().unwrap().clone()
    }
}

impl Vault for Safe {
    fn get<'a>(&'a self, name: &'a SecretName, _: &'a SecretSource) -> Getting<'a> {
        self.fetched.lock().unwrap().push(name.to_string());
        let broken = self.broken.lock().unwrap().clone();
        assert_ne!(broken.as_deref(), Some(name.as_str()), "as it was scripted");
        let value = self.secrets.lock().unwrap().get(name.as_str()).cloned();
        let secret = value
            .and_then(|value| Secret::new(value.into_bytes()).ok())
            .ok_or_else(|| Fault::new(FaultKind::Secret, "not in this world's safe"));
        Box::pin(std::future::ready(secret))
    }
}
