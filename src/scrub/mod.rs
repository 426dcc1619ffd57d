//! Known secrets out of what comes back: every form (`forms`) of every secret, masked with as many bytes.
//!
//! Pure. Which secrets are known, and to which replies this is applied, is not known here.
//!
//! What stands in a text is masked wherever it stands, overlaps and all, so it makes no difference how the text was cut
//! into chunks.

mod forms;
mod search;
mod stream;

use bytes::Bytes;
use serde_json::{Map, Value};

pub use search::{Forms, SHORTEST};
pub use stream::Scrubber;

/// What stands in the place of each byte of a secret. It is in no encoding's alphabet, so that nothing decodes to
/// something that looks whole.
pub const MASK: u8 = b'*';

impl Forms {
    /// Masks a text that is there whole. Returns how many places were masked; a text without any is not copied.
    pub fn mask(&self, text: &mut Bytes) -> u64 {
        let found = self.find(text);
        if !found.is_empty() {
            let mut masked = Vec::from(&**text);
            for range in &found {
                masked[range.clone()].fill(MASK);
            }
            *text = masked.into();
        }
        found.len() as u64
    }

    /// Masks the texts and names of a JSON value: what reading JSON has decoded may hold what its bytes did not show.
    pub fn mask_value(&self, value: &mut Value) -> u64 {
        match value {
            _ if self.is_empty() => 0,
            Value::Null | Value::Bool(_) => 0,
            Value::Number(number) => {
                let mut text = number.to_string();
                let masked = self.mask_text(&mut text);
                if masked > 0 {
                    *value = Value::String(text);
                }
                masked
            }
            Value::String(text) => self.mask_text(text),
            Value::Array(elements) => elements.iter_mut().map(|it| self.mask_value(it)).sum(),
            Value::Object(members) => self.mask_members(members),
        }
    }

    fn mask_members(&self, members: &mut Map<String, Value>) -> u64 {
        let mut masked = members.values_mut().map(|it| self.mask_value(it)).sum();
        if members.keys().any(|name| self.stand_in(name.as_bytes())) {
            let renamed = std::mem::take(members)
                .into_iter()
                .map(|(mut name, value)| {
                    masked += self.mask_text(&mut name);
                    (name, value)
                });
            let renamed: Vec<_> = renamed.collect();
            members.extend(renamed);
        }
        masked
    }

    /// A form may begin or end inside a character only where the secret itself does; then the rest of it goes as well.
    fn mask_text(&self, text: &mut String) -> u64 {
        let found = self.find(text.as_bytes());
        if !found.is_empty() {
            let mut masked = std::mem::take(text).into_bytes();
            for range in &found {
                masked[range.clone()].fill(MASK);
            }
            *text = String::from_utf8_lossy(&masked).into_owned();
        }
        found.len() as u64
    }
}

#[cfg(test)]
mod tests;
