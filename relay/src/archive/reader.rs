//! Reads an archive in a folder, and finds what is wrong with it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use openssl::sha::Sha256;

use super::folder::PART;
use super::manifest::digits;
use super::{Line, Manifest};

/// No row of PostgreSQL is larger, and none is expected to be anywhere near it.
const LINE_BYTES_MAX: u64 = 2 << 30;
const MANIFEST_BYTES_MAX: u64 = 64 * 1024;
const MANIFEST_SUFFIX: &str = ".manifest.json";
const FILE_SUFFIX: &str = ".jsonl";

/// What is wrong with a file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Which.
    pub(crate) file: String,
    /// What.
    pub(crate) what: String,
}

/// What there is in a folder.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Of files that are whole, in the order of their names, which is that of their making for each outbox.
    pub(crate) manifests: Vec<Manifest>,
    /// Files that never became whole: the rows in them were not removed.
    pub(crate) unfinished: Vec<String>,
    /// What is wrong.
    pub(crate) damages: Vec<Damage>,
}

/// A folder with an archive.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The folder at a path.
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Looks at the names and reads the manifests.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(crate) fn look(&self) -> io::Result<Found> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        let mut found = Found::default();
        for name in &names {
            if let Some(file) = name.strip_suffix(MANIFEST_SUFFIX) {
                match self.manifest(name, file) {
                    Ok(manifest) => found.manifests.push(manifest),
                    Err(what) => found.damages.push(damage(name, what)),
                }
            } else if name.ends_with(PART) || is_without_manifest(name, &names) {
                found.unfinished.push(name.clone());
            }
        }
        Ok(found)
    }

    fn manifest(&self, name: &str, file: &str) -> Result<Manifest, String> {
        let mut text = String::new();
        let opened = File::open(self.0.join(name)).map_err(|error| error.to_string())?;
        let read = opened.take(MANIFEST_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|error| error.to_string())?;
        let manifest: Manifest = serde_json::from_str(&text).map_err(|error| format!("it is no manifest: {error}"))?;
        if manifest.file == file {
            Ok(manifest)
        } else {
            Err(format!("it is the manifest of {}", manifest.file))
        }
    }

    /// Opens the file of a manifest.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn open<'m>(&self, manifest: &'m Manifest) -> Result<Lines<'m>, Damage> {
        let file = File::open(self.0.join(&manifest.file));
        Ok(Lines {
            file: BufReader::new(file.map_err(|error| damage(&manifest.file, error.to_string()))?),
            manifest,
            digest: Sha256::new(),
            bytes: 0,
            rows: 0,
            text: Vec::new(),
        })
    }
}

/// The lines of a file, one after the other. Whether they are those of the manifest is known at the end.
pub(crate) struct Lines<'m> {
    file: BufReader<File>,
    manifest: &'m Manifest,
    digest: Sha256,
    bytes: u64,
    rows: u64,
    text: Vec<u8>,
}

impl Lines<'_> {
    /// The next line; `None` after the last one of a file that is as its manifest says.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(crate) fn next(&mut self) -> Result<Option<Line>, Damage> {
        let name = &self.manifest.file;
        self.text.clear();
        let read = (&mut self.file).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.text);
        let length = read.map_err(|error| damage(name, error.to_string()))?;
        if length == 0 {
            return self.compare().map(|()| None).map_err(|what| damage(name, what));
        }
        self.digest.update(&self.text);
        self.bytes += length as u64;
        self.rows += 1;
        let line = serde_json::from_slice(&self.text);
        let line = line.map_err(|error| damage(name, format!("line {} is no row: {error}", self.rows)))?;
        Ok(Some(line))
    }

    fn compare(&mut self) -> Result<(), String> {
        let (manifest, rows, bytes) = (self.manifest, self.rows, self.bytes);
        if rows != manifest.rows || bytes != manifest.bytes {
            return Err(format!(
                "it has {rows} rows in {bytes} bytes, and its manifest says {} in {}",
                manifest.rows, manifest.bytes
            ));
        }
        let sha256 = digits(&std::mem::take(&mut self.digest).finish());
        if sha256 != manifest.sha256 {
            return Err(format!(
                "its SHA-256 is {sha256}, and its manifest says {}",
                manifest.sha256
            ));
        }
        Ok(())
    }
}

fn is_without_manifest(name: &str, names: &[String]) -> bool {
    name.ends_with(FILE_SUFFIX) && names.binary_search(&Manifest::name_of(name)).is_err()
}

fn damage(file: &str, what: String) -> Damage {
    Damage {
        file: file.to_owned(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::archive::{ArchiveFile, Origin, Unmappable, keep};
    use crate::config::ArchiveTarget;

    fn archived(folder: &Path, made_at: &str, ids: &[&str]) {
        let origin = Origin {
            slot: "s".to_owned(),
            outbox: "default".to_owned(),
            table: "public.outbox".to_owned(),
            committed_before: "0/1".to_owned(),
        };
        let mut file = ArchiveFile::new(origin, made_at);
        for id in ids {
            let which = Unmappable {
                id: (*id).to_owned(),
                why: "w".to_owned(),
            };
            let row = RawValue::from_string("{}".to_owned()).expect("JSON");
            file.push(&Line::of_unmappable("default", "public.outbox", which, row));
        }
        keep(&ArchiveTarget::Folder(folder.to_owned()), &file).expect("kept");
    }

    fn ids(folder: &Folder, manifest: &Manifest) -> Result<Vec<String>, Damage> {
        let (mut lines, mut ids) = (folder.open(manifest)?, Vec::new());
        while let Some(line) = lines.next()? {
            ids.push(line.id);
        }
        Ok(ids)
    }

    #[test]
    fn what_was_written_is_read_in_its_order() {
        let place = tempfile::tempdir().expect("a folder");
        archived(place.path(), "2", &["c"]);
        archived(place.path(), "1", &["a", "b"]);
        let folder = Folder::at(place.path());
        let found = folder.look().expect("a folder");
        let read: Result<Vec<_>, _> = found.manifests.iter().map(|manifest| ids(&folder, manifest)).collect();
        assert_eq!(
            read.map(|ids| ids.concat()),
            Ok(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()])
        );
        assert!(found.unfinished.is_empty() && found.damages.is_empty());
    }

    #[test]
    fn every_damage_is_found_and_what_never_became_whole_is_none() {
        let place = tempfile::tempdir().expect("a folder");
        archived(place.path(), "1", &["a", "b"]);
        let (file, folder) = (place.path().join("default-1.jsonl"), Folder::at(place.path()));
        let whole = fs::read_to_string(&file).expect("text");
        let found = folder.look().expect("a folder");
        let verified = |text: &str| {
            fs::write(&file, text).expect("written");
            ids(&folder, &found.manifests[0]).map_err(|damage| damage.what)
        };
        assert!(verified(&whole).is_ok());
        for (text, what) in [
            (whole.replace("\"b\"", "\"c\""), "its SHA-256 is"),
            (whole[..whole.len() - 1].to_owned(), "it has 2 rows in"),
            (whole.repeat(2), "it has 4 rows"),
            (String::new(), "it has 0 rows"),
            ("{}\n".to_owned(), "line 1 is no row"),
        ] {
            let said = verified(&text).expect_err(what);
            assert!(said.contains(what), "{said}");
        }
        fs::remove_file(&file).expect("removed");
        assert!(folder.open(&found.manifests[0]).is_err());
        fs::write(place.path().join("default-2.jsonl"), "").expect("written");
        fs::write(place.path().join("default-3.jsonl.part"), "").expect("written");
        fs::write(place.path().join("default-4.jsonl.manifest.json"), "{}").expect("written");
        let found = folder.look().expect("a folder");
        assert_eq!(found.unfinished, ["default-2.jsonl", "default-3.jsonl.part"]);
        assert_eq!(found.damages.len(), 1);
    }
}
