//! Every input of the corpora, and every capture of a real server, through its target.

use std::fs;
use std::path::Path;

use outbox_relay_fuzz::{TARGETS, target};

fn replay(name: &str, folder: &Path) -> usize {
    let run = target(name).expect("a target");
    let files = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut replayed = 0;
    for file in files {
        let path = file.expect("a file").path();
        if path.extension().is_none_or(|extension| extension == "bin") {
            run(&fs::read(&path).expect("readable"));
            replayed += 1;
        }
    }
    replayed
}

#[test]
fn no_input_that_was_ever_found_breaks_its_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, _) in TARGETS {
        let replayed = replay(name, &root.join(name));
        assert!(replayed > 0, "the corpus of {name} is empty");
    }
}

#[test]
fn what_real_servers_sent_breaks_no_target() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../decoder/golden");
    for name in ["frames", "message", "sequence", "pipeline"] {
        assert!(replay(name, &golden) >= 15, "captures are missing");
    }
}
