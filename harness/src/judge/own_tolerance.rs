//! Tolerances a user names beside the ladder: what an arithmetic that nobody has named is held to,
//! in the words of the field.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::compare::{Findings, LaneFindings};
use super::verdict::Divergence;
use crate::case::observation::{Lane, Observation};
use crate::exit::Failure;
use crate::file::provenance::Input;
use crate::numbers::metrics::ulps;

/// A tolerance of the user's. What is not named is not demanded; at least one thing is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnTolerance {
    /// As in verdicts.
    pub name: String,
    /// `|theirs − ours| ≤ atol + rtol · |theirs|` for every logit; 0 where only `atol` is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtol: Option<f64>,
    /// The same; 0 where only `rtol` is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub atol: Option<f64>,
    /// Largest `KL(reference ‖ ours)` of a position, in nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl: Option<f64>,
    /// Smallest share of positions whose most likely token is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top1: Option<f64>,
    /// Representable values that may lie between two logits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ulp: Option<u64>,
}

/// A tolerance that was read is made of numbers, so it equals itself.
impl Eq for OwnTolerance {}

/// What single logits come to, which no distance of whole rows says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elements {
    /// Which lane.
    pub lane: Lane,
    /// The largest `|theirs − ours| − rtol · |theirs|`: the smallest `atol` that would pass.
    pub excess: f64,
    /// Where that is.
    pub position: usize,
    /// The most representable values between two logits.
    pub ulp: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tier: Vec<OwnTolerance>,
}

/// Reads a TOML file of `[[tier]]` tables, the strictest first.
pub fn read(path: &Path) -> Result<Vec<OwnTolerance>, Failure> {
    let (_, bytes) = Input::read(path)?;
    let wrong = |why: String| {
        let keys = "name, rtol, atol, kl, top1, ulp";
        Failure::input(format!(
            "{}: {why}; each [[tier]] has some of {keys}",
            path.display()
        ))
    };
    let text = String::from_utf8_lossy(&bytes);
    let file: File = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    if file.tier.is_empty() {
        return Err(wrong("there is no tier".into()));
    }
    for tier in &file.tier {
        tier.fault().map_or(Ok(()), |why| Err(wrong(why)))?;
    }
    Ok(file.tier)
}

impl OwnTolerance {
    /// Why it is no tolerance.
    pub fn fault(&self) -> Option<String> {
        let name = &self.name;
        let numbers = [self.rtol, self.atol, self.kl, self.top1];
        let sound = |n: &f64| *n >= 0.0 && n.is_finite();
        if name.trim().is_empty() {
            return Some("a tolerance has no name".into());
        }
        if !numbers.iter().flatten().all(sound) || self.top1.is_some_and(|share| share > 1.0) {
            return Some(format!("{name}: a number is negative, or a share above 1"));
        }
        let demands = numbers.iter().any(Option::is_some) || self.ulp.is_some();
        (!demands).then(|| format!("{name} demands nothing"))
    }

    /// Looks at every logit both have. Values that are not finite are another rule's.
    pub fn elements(&self, theirs: &Observation, ours: &Observation) -> Vec<Elements> {
        let rtol = self.rtol.unwrap_or(0.0);
        let mut found = Vec::new();
        for (&lane, a) in &theirs.lanes {
            let Some(b) = ours.lanes.get(&lane) else {
                continue;
            };
            let mut elements = Elements {
                lane,
                excess: f64::MIN,
                position: 0,
                ulp: 0,
            };
            // Rows that name tokens have no logit in the same place.
            let whole = a.named.is_empty() && b.named.is_empty();
            for &position in a.positions.iter().filter(|_| whole) {
                let rows = a.at(position).zip(b.at(position));
                for (&x, &y) in rows.into_iter().flat_map(|(a, b)| a.iter().zip(b)) {
                    if !(x.is_finite() && y.is_finite()) {
                        continue;
                    }
                    let (wide, other) = (f64::from(x), f64::from(y));
                    let excess = (wide - other).abs() - rtol * wide.abs();
                    if excess > elements.excess {
                        (elements.excess, elements.position) = (excess, position);
                    }
                    elements.ulp = elements.ulp.max(ulps([x, y]).unwrap_or(u64::MAX));
                }
            }
            // Where nothing was looked at, nothing is within anything.
            found.extend((elements.excess > f64::MIN).then_some(elements));
        }
        found
    }

    /// The smallest that these findings do not break, each number in two digits and rounded up;
    /// none where a lane has no number for it.
    pub fn least(findings: &Findings, theirs: &Observation, ours: &Observation) -> Self {
        let own = OwnTolerance::default();
        let elements = own.elements(theirs, ours);
        let all = elements.len() == findings.lanes.len() && !elements.is_empty();
        let most = |numbers: &mut dyn Iterator<Item = f64>| numbers.reduce(f64::max).map(round_up);
        let share = |lane: &LaneFindings| {
            let (count, flips) = (lane.positions.len(), lane.flips());
            (count - flips) as f64 / count.max(1) as f64
        };
        let kl: Option<Vec<Vec<f64>>> = findings.lanes.iter().map(LaneFindings::kl).collect();
        let excess = elements.iter().map(|found| found.excess);
        let shares = findings.lanes.iter().map(share);
        OwnTolerance {
            atol: most(&mut excess.filter(|_| all)),
            kl: kl.and_then(|kl| most(&mut kl.into_iter().flatten())),
            top1: shares.reduce(f64::min).map(|least| -round_up(-least)),
            ulp: elements.iter().map(|e| e.ulp).max().filter(|_| all),
            ..own
        }
    }

    /// As it is typed.
    pub fn flags(&self) -> String {
        let number = |flag: &str, n: Option<f64>| n.map(|n| format!("--{flag} {n:e}"));
        let mut words = vec![
            number("rtol", self.rtol),
            number("atol", self.atol),
            number("kl", self.kl),
            self.top1.map(|share| format!("--top1 {share}")),
        ];
        words.push(self.ulp.map(|n| format!("--ulp {n}")));
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// The first rule that the findings break.
    pub fn broken(&self, findings: &Findings) -> Option<Divergence> {
        let elements = findings.elements.get(&self.name);
        findings.lanes.iter().find_map(|lane| {
            let own = |e: &&Elements| e.lane == lane.lane;
            let own = elements.and_then(|all| all.iter().find(own));
            let rule = self.broken_by(lane, own)?;
            let rule = format!("{}: {rule}", self.name);
            let lane = lane.lane;
            Some(Divergence::Lane { lane, rule })
        })
    }

    fn broken_by(&self, lane: &LaneFindings, own: Option<&Elements>) -> Option<String> {
        if lane.positions.is_empty() {
            return None; // the coverage says that the lane is empty
        }
        // Each written so that "nothing was found" breaks the rule.
        let most = self.atol.unwrap_or(0.0);
        let by_element = self.rtol.is_some() || self.atol.is_some();
        if by_element && own.is_none_or(|e| e.excess > most) {
            let position = own.map_or(String::new(), |e| format!(" at position {}", e.position));
            return Some(format!("a logit{position} is beyond {}", self.by_element()));
        }
        if let Some(most) = self.ulp.filter(|most| own.is_none_or(|e| e.ulp > *most)) {
            return Some(format!("a logit is more than {most} ulp away"));
        }
        if let Some(most) = self.kl {
            let far = |p: &&super::compare::PositionFindings| p.kl.is_none_or(|kl| kl > most);
            if let Some(far) = lane.positions.iter().find(far) {
                return Some(format!("KL above {most:e} at position {}", far.position));
            }
        }
        let least = self.top1?;
        let count = lane.positions.len();
        let same = count - lane.flips();
        (((same as f64) / (count as f64)) < least)
            .then(|| format!("the most likely token is the same less often than {least}"))
    }

    fn by_element(&self) -> String {
        let named = [("atol", self.atol), ("rtol", self.rtol)];
        let named = named
            .iter()
            .filter_map(|(name, n)| n.map(|n| format!("{name} {n:e}")));
        named.collect::<Vec<_>>().join(" and ")
    }
}

/// The next number of two digits, not below this one.
fn round_up(value: f64) -> f64 {
    let short = |value: f64| format!("{value:.1e}").parse::<f64>().unwrap_or(value);
    let digits = value.abs().log10().floor() as i32;
    let step = 10f64.powi(digits.saturating_sub(1));
    let near = short(value);
    if near < value {
        short(near + step)
    } else {
        near
    }
}

impl fmt::Display for OwnTolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = vec![self.by_element()];
        words.extend(self.kl.map(|n| format!("KL {n:e}")));
        words.extend(self.top1.map(|n| format!("top-1 {n}")));
        words.extend(self.ulp.map(|n| format!("{n} ulp")));
        words.retain(|word| !word.is_empty());
        write!(f, "{} ({})", self.name, words.join(", "))
    }
}
