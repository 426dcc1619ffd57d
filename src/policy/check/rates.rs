//! Rate limits: of actions, of connections, of agents.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::policy::check::told::Told;
use crate::policy::raw::rate::{Key as RawKey, Per as RawPer, RateLimit};
use crate::problem::Problem;
use crate::rate::{Key, Owner, Per, Rate};

/// Reads a limit. Its mistakes are told also where what has it has no name, and so no place of its own.
pub(super) fn read(
    owner: Option<Owner>,
    limit: Option<&RateLimit>,
    told: &mut Told<'_>,
) -> Option<Arc<Rate>> {
    let written = Written::of(limit?)?;
    written.tell_long_refill(limit?, told)?;
    let owner = owner?;
    Some(Arc::new(Rate {
        key: written.counted(&owner),
        owner,
        limit: NonZeroU32::new(written.limit)?,
        per: written.per,
        burst: NonZeroU32::new(written.burst)?,
    }))
}

/// A limit as it is written, in either form.
struct Written {
    limit: u32,
    per: Per,
    burst: u32,
    key: Option<RawKey>,
}

impl Written {
    fn of(raw: &RateLimit) -> Option<Self> {
        match raw {
            RateLimit::Short(short) => Some(Self {
                limit: short.value.limit.get(),
                per: unit(short.value.per),
                burst: short.value.limit.get(),
                key: None,
            }),
            RateLimit::Long(long) => {
                let limit = long.limit.as_ref()?.value.get();
                let burst = long.burst.as_ref();
                Some(Self {
                    limit,
                    per: unit(long.per.as_ref()?.value),
                    burst: burst.map_or(limit, |it| it.value.get()),
                    key: long.key.as_ref().map(|it| it.value),
                })
            }
        }
    }

    /// What was counted is remembered for as long as it can matter: no longer than a day.
    fn tell_long_refill(&self, raw: &RateLimit, told: &mut Told<'_>) -> Option<()> {
        let longest = Rate::LONGEST_REFILL.as_secs();
        let most = u64::from(self.limit) * (longest / self.per.seconds());
        if u64::from(self.burst) <= most {
            return Some(());
        }
        let message = "after a burst it would take more than a day until all of it is back";
        let place = match raw {
            RateLimit::Long(long) => long.burst.as_ref().map_or(&long.place, |it| &it.place),
            RateLimit::Short(short) => &short.place,
        };
        let problem = Problem::error(place, message);
        told.tell(problem.remedy(format!("write a burst of at most {most}")));
        None
    }

    /// What is counted together. Where every call that the rule holds for has the same key, that is all of them.
    fn counted(&self, owner: &Owner) -> Key {
        match (self.key, owner) {
            (None, _)
            | (Some(RawKey::Action), Owner::Action(_))
            | (Some(RawKey::Agent), Owner::Agent(_)) => Key::All,
            (Some(RawKey::Action), _) => Key::Action,
            (Some(RawKey::Agent), _) => Key::Agent,
            (Some(RawKey::Session), _) => Key::Session,
        }
    }
}

fn unit(per: RawPer) -> Per {
    match per {
        RawPer::Second => Per::Second,
        RawPer::Minute => Per::Minute,
        RawPer::Hour => Per::Hour,
        RawPer::Day => Per::Day,
    }
}
