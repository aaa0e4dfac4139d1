//! Sizes, for people.

/// In a unit that can be read.
pub(crate) fn size(bytes: f64) -> String {
    let mut size = bytes;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            let decimals = usize::from(unit != "bytes");
            return format!("{size:.decimals$} {unit}");
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}
