//! `outbox-relay archive verify`.

use std::path::Path;

use super::{damaged, open};
use crate::archive::{Damage, Folder, Manifest};
use crate::commands::Failure;

pub(super) fn verify(path: &Path) -> Result<(), Failure> {
    let (folder, found) = open(path)?;
    let (mut rows, mut damages) = (0, found.damages);
    for manifest in &found.manifests {
        match whole(&folder, manifest) {
            Ok(()) => rows += manifest.rows,
            Err(damage) => damages.push(damage),
        }
    }
    for name in &found.unfinished {
        println!("{name}: was never finished, and its rows were not removed from the table");
    }
    let files = found.manifests.len();
    if damages.is_empty() {
        println!("{files} files with {rows} rows are as their manifests say");
        Ok(())
    } else {
        Err(damaged(&damages))
    }
}

fn whole(folder: &Folder, manifest: &Manifest) -> Result<(), Damage> {
    let mut lines = folder.open(manifest)?;
    while lines.next()?.is_some() {}
    Ok(())
}
