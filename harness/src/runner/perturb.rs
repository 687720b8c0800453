//! The one way to bend a pass: a probe in front of another, which may change every value before
//! the other sees it and before the next operation reads it.
#![forbid(unsafe_code)]

use engine::transformer::probe::{Node, Probe};

/// When a value is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before it is seen, as an operation that computes wrongly would make it.
    Made,
    /// After it was seen, as a next operation that reads wrongly would have it.
    Read,
}

/// May change the values of every node of a pass.
pub type Disturbance<'m> = Box<dyn FnMut(Moment, Node, &[usize], &mut [f32]) + 'm>;

/// Makes a disturbance, anew for every pass.
pub type Plant<'m> = dyn Fn() -> Disturbance<'m> + 'm;

/// Changes nothing.
pub fn undisturbed<'m>() -> Disturbance<'m> {
    Box::new(|_, _, _, _| ())
}

/// A probe behind a disturbance.
pub struct Perturb<D, P> {
    disturb: D,
    /// Sees what was made.
    pub probe: P,
}

impl<D, P> Perturb<D, P>
where
    D: FnMut(Moment, Node, &[usize], &mut [f32]),
    P: Probe,
{
    /// Puts the disturbance before the probe and behind it.
    pub fn new(disturb: D, probe: P) -> Self {
        Perturb { disturb, probe }
    }
}

impl<D, P> Probe for Perturb<D, P>
where
    D: FnMut(Moment, Node, &[usize], &mut [f32]),
    P: Probe,
{
    fn at(&mut self, node: Node, shape: &[usize], values: &mut [f32]) {
        (self.disturb)(Moment::Made, node, shape, values);
        self.probe.at(node, shape, values);
        (self.disturb)(Moment::Read, node, shape, values);
    }
}

#[cfg(test)]
mod tests {
    use engine::transformer::probe::Place;

    use super::*;

    #[test]
    fn a_value_is_changed_before_it_is_seen_and_before_it_is_read() {
        struct Sees(Vec<f32>);
        impl Probe for Sees {
            fn at(&mut self, _: Node, _: &[usize], values: &mut [f32]) {
                self.0.extend_from_slice(values);
            }
        }
        let disturb = |moment, _: Node, _: &[usize], values: &mut [f32]| match moment {
            Moment::Made => values[0] += 1.0,
            Moment::Read => values[0] *= 10.0,
        };
        let mut probe = Perturb::new(disturb, Sees(Vec::new()));
        let node = Node {
            name: "kq",
            suffix: "",
            place: Place::Layer(0),
            op: "MUL_MAT",
            occurrence: 0,
        };
        let mut values = [2.0];
        probe.at(node, &[1], &mut values);
        assert_eq!((probe.probe.0, values), (vec![3.0], [30.0]));
    }
}
