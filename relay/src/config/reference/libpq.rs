//! The chapter about libpq's keywords and variables.

use super::markdown::put;
use crate::config::libpq::Means;
use crate::config::libpq::keywords::{KEYWORDS, Keyword};

const INTRO: &str = "
## libpq

`postgres.url` and `postgres.url_file` take what psql takes:

```
postgres://user:password@host1:5432,host2:5433/database?keyword=value
host=db1 dbname=shop password='with a space'
```

The variables of libpq fill what nothing else gives; one that is overruled is not looked at, and an empty one is not set.
Different from libpq is, each time on the strict side:

- Without `sslmode` the default is the relay's, `verify-full`. `prefer` and `allow` are refused.
- `sslmode=require` with a root certificate verifies it, as libpq does (`verify-ca`). `postgres.tls_mode = \"require\"` never does.
- `sslrootcert=system` means the system's certificates, as leaving it out does.
- In a URL `@`, `/` and `?` inside a name or a password have to be percent-encoded, and no keyword may be there twice.
- Files in `~/.postgresql`, `~/.pgpass` and service files are not looked at unless a key names them.
- `PGPASSWORD` and `PGPASSFILE` count only where no password, password file or `passfile` is given, `PGSSLCERT` and
  `PGSSLKEY` only where neither is.

| keyword | variable | is |
| --- | --- | --- |
";

const HARMLESS: &str = "
These ask for what the relay does anyway, or change nothing that it does. Other values than those named are refused:

| keyword | variable | accepted | because |
| --- | --- | --- | --- |
";

const REFUSED: &str = "
These are refused, because the relay would connect elsewhere or otherwise than they say:

| keyword | variable | why | instead |
| --- | --- | --- | --- |
";

const REST: &str = "
A refused variable that is overruled is passed over: `PGSERVICE` where `postgres.host` and `postgres.database` are given,
`PGHOSTADDR` where `postgres.host` is, `PGREQUIREAUTH` where `postgres.password_methods` is. Any other variable, such as
`PGOPTIONS`, `PGTZ`, `PGDATESTYLE` or `PGCLIENTENCODING`, is passed over.
";

pub(super) fn chapter(text: &mut String) {
    put(text, INTRO);
    rows(text, key);
    put(text, HARMLESS);
    rows(text, harmless);
    put(text, REFUSED);
    rows(text, refused);
    put(text, REST);
}

fn rows(text: &mut String, row: fn(&Means) -> Option<String>) {
    for Keyword { name, variable, means } in KEYWORDS {
        if let Some(rest) = row(means) {
            let variable = if variable.is_empty() {
                String::new()
            } else {
                format!("`{variable}`")
            };
            put(text, &format!("| `{name}` | {variable} | {rest} |\n"));
        }
    }
}

fn key(means: &Means) -> Option<String> {
    match means {
        Means::Key(key) => Some(format!("`{key}`")),
        Means::Seconds(key) => Some(format!("`{key}`; in seconds, at least 1")),
        Means::Words { key, words, refused } => {
            let accepted = words.iter().map(|(theirs, ours)| {
                if theirs == ours {
                    format!("`{ours}`")
                } else {
                    format!("`{theirs}` is `{ours}`")
                }
            });
            let refused = refused
                .iter()
                .map(|(theirs, reason)| format!("; `{theirs}` is refused: {reason}"));
            let accepted: Vec<_> = accepted.collect();
            Some(format!(
                "`{key}`: {}{}",
                accepted.join(", "),
                refused.collect::<String>()
            ))
        }
        Means::Already { .. } | Means::Refused { .. } => None,
    }
}

fn harmless(means: &Means) -> Option<String> {
    let Means::Already { values, reason, .. } = means else {
        return None;
    };
    let values = if values.is_empty() {
        "any".to_owned()
    } else {
        format!("`{}`", values.join("`, `"))
    };
    Some(format!("{values} | {reason}"))
}

fn refused(means: &Means) -> Option<String> {
    match means {
        Means::Refused { reason, instead, .. } => Some(format!("{reason} | {instead}")),
        _ => None,
    }
}
