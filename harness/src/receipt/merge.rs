//! Shares of a run put together: what one machine would have written, or why that cannot be said.

use std::collections::BTreeSet;

use super::{CaseReceipt, Circumstances, Failed, InputFile, LeftOut, LiveReference, Receipt};
use super::{comparisons, stale};
use crate::case::shard::{Shard, Share};
use crate::judge::known_divergences::Ledger;
use crate::runner::products::Products;

/// The command whose cases were shared out.
pub const COMMAND: &str = "crossval";

/// The receipt of the whole. Every share must be there once, be sound, and be of the same run.
pub fn merge(shares: Vec<(String, Receipt)>, ledger: &Ledger) -> Result<Receipt, String> {
    let shares: Vec<(String, Receipt, Share)> = shares
        .into_iter()
        .map(|(name, receipt)| {
            let share = sound(&name, &receipt)?;
            Ok((name, receipt, share))
        })
        .collect::<Result<_, String>>()?;
    let mut shares = shares;
    shares.sort_by_key(|(_, _, share)| share.shard.index);
    let Some((first, rest)) = shares.split_first() else {
        return Err("there is nothing to merge".into());
    };
    for other in rest {
        same_run(first, other)?;
    }
    let shards = shares
        .iter()
        .map(|(name, _, share)| (&name[..], share.shard));
    complete(&shards.collect::<Vec<_>>())?;
    let plan = &first.2.plan;
    let place = |name: &str| plan.iter().position(|planned| planned == name);
    let receipts = || shares.iter().map(|(_, receipt, _)| receipt);
    let asked = receipts()
        .map(|receipt| receipt.coverage.cases.declared)
        .sum();
    let mut cases: Vec<CaseReceipt> = receipts().flat_map(|r| r.cases.clone()).collect();
    cases.sort_by_key(|case| place(&case.claims.case));
    let mut failures: Vec<Failed> = receipts().flat_map(|r| r.failures.clone()).collect();
    failures.sort_by_key(|failed| place(&failed.case));
    let own = !cases
        .iter()
        .any(|case| case.claims.engine.identity.brought().is_some());
    let stale = if own {
        stale::entries(ledger, &cases)
    } else {
        Vec::new()
    };
    let all: Vec<&Circumstances> = receipts().map(|r| &r.circumstances).collect();
    let circumstances = together(&all, &first.2, &cases, stale);
    Ok(Receipt::assemble(asked, cases, failures, circumstances))
}

/// The share a receipt is, if nobody edited it and it holds no case of another one.
fn sound(name: &str, receipt: &Receipt) -> Result<Share, String> {
    if receipt.computed_seal() != receipt.seal {
        return Err(format!("{name}: its seal is broken"));
    }
    let Some(share) = receipt.circumstances.share.clone() else {
        return Err(format!(
            "{name} is the receipt of a whole run, not of a share (--shard K/N)"
        ));
    };
    let own: BTreeSet<String> = share.own(COMMAND).into_iter().collect();
    let ended = receipt.cases.iter().map(|case| &case.claims.case);
    let mut ended = ended.chain(receipt.failures.iter().map(|failed| &failed.case));
    match ended.find(|case| !own.contains(*case)) {
        None => Ok(share),
        Some(case) => Err(format!(
            "{name}: {case} is no case of share {}",
            share.shard
        )),
    }
}

type Named = (String, Receipt, Share);

fn same_run((one, left, a): &Named, (other, right, b): &Named) -> Result<(), String> {
    foreign((one, other), a, b)?;
    let foreign = |what: &str| Err(format!("{other} is of another run than {one}: {what}"));
    let (here, there) = (&left.circumstances, &right.circumstances);
    let build = |c: &Circumstances| (c.machine.harness_version.clone(), c.machine.commit.clone());
    if build(here) != build(there) {
        return foreign("another build of the harness made it");
    }
    let hash = |file: &InputFile| {
        let same = here.inputs.iter().find(|input| input.path == file.path);
        same.is_none_or(|input| input.sha256 == file.sha256)
    };
    match there.inputs.iter().find(|file| !hash(file)) {
        Some(file) => foreign(&format!("{} had other bytes", file.path)),
        None => Ok(()),
    }
}

/// Refuses shares of two runs, which are called so.
pub fn foreign((one, other): (&str, &str), a: &Share, b: &Share) -> Result<(), String> {
    let foreign = |what: &str| Err(format!("{other} is of another run than {one}: {what}"));
    if a.shard.of != b.shard.of {
        return foreign(&format!("{} shares, not {}", b.shard.of, a.shard.of));
    }
    if a.plan != b.plan || a.demanded != b.demanded {
        return foreign("it was asked other cases, or other references");
    }
    if a.made_by != b.made_by {
        return foreign("another build of the harness made it");
    }
    Ok(())
}

/// Refuses shares, which are sorted, of which one is not there once.
pub fn complete(shares: &[(&str, Shard)]) -> Result<(), String> {
    let of = shares[0].1.of;
    let twice = shares.windows(2).find(|pair| pair[0].1 == pair[1].1);
    if let Some([one, other]) = twice {
        return Err(format!(
            "share {} is there twice: {} and {}",
            one.1, one.0, other.0
        ));
    }
    let there = |index| shares.iter().any(|(_, shard)| shard.index == index);
    let missing = (1..=of).filter(|index| !there(*index));
    let missing: Vec<String> = missing
        .map(|index| Shard { index, of }.to_string())
        .collect();
    match &missing[..] {
        [] => Ok(()),
        missing => Err(format!("missing: share {}", missing.join(", "))),
    }
}

fn together(
    all: &[&Circumstances],
    share: &Share,
    cases: &[CaseReceipt],
    stale_entries: Vec<String>,
) -> Circumstances {
    fn once<T: Clone + PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
        let mut kept: Vec<T> = Vec::new();
        all.for_each(|one| {
            if !kept.contains(&one) {
                kept.push(one);
            }
        });
        kept
    }
    let references: Vec<LiveReference> = once(all.iter().flat_map(|c| c.references.clone()));
    let left_out: Vec<LeftOut> = once(all.iter().flat_map(|c| c.left_out.clone()));
    let answered = comparisons(cases).any(|c| c.live && c.is_answered());
    let unanswered = if answered {
        Vec::new()
    } else {
        share.demanded.clone()
    };
    let first = all[0];
    Circumstances {
        started_unix: all.iter().map(|c| c.started_unix).min().unwrap_or_default(),
        seconds: all.iter().map(|c| c.seconds).sum(),
        threads: first.threads,
        machine: first.machine.clone(),
        asked: share.plan.clone(),
        references,
        inputs: all_inputs(all),
        stale_entries,
        left_out,
        unanswered,
        changed_inputs: once(all.iter().flat_map(|c| c.changed_inputs.clone())),
        products: all_products(all),
        share: None,
    }
}

/// What any of the shares read; the tensors of a model are listed where it was run.
fn all_inputs(all: &[&Circumstances]) -> Vec<InputFile> {
    let mut together: Vec<InputFile> = Vec::new();
    for file in all.iter().flat_map(|c| &c.inputs) {
        match together.iter_mut().find(|known| known.path == file.path) {
            None => together.push(file.clone()),
            Some(known) => known.tensors.extend(file.tensors.clone()),
        }
    }
    together
}

/// What any of the machines can multiply with.
fn all_products(all: &[&Circumstances]) -> Products {
    let mut together = Products::new();
    for (what, orders) in all.iter().flat_map(|c| &c.products) {
        let known = together.entry(what.clone()).or_default();
        known.extend(orders.iter().cloned());
    }
    together
}
