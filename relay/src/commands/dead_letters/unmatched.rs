//! Why a filter finds nothing: most often a value is misspelt.

use super::super::output::on_one_line;
use super::filter::Filter;
use super::{Failure, Operation};
use crate::config::nearest;
use crate::fault::FaultCode;

/// Values that are listed.
const LISTED_MAX: i64 = 10;
/// Of letters that nobody tried to publish.
const UNTRIED: [&str; 3] = ["key_parked", "route_paused", "skipped"];

/// Says of each value by which nothing is found, whatever the others are, what there is instead.
pub(super) async fn tell(operation: &Operation<'_>, filter: &Filter) -> Result<(), Failure> {
    for (flag, column, value) in filter.values() {
        let Some(value) = value else { continue };
        let Some(known) = known(operation, column, value).await? else {
            continue;
        };
        let instead = match known.as_slice() {
            [] => "no letter of the slot has any".to_owned(),
            known => format!("there are {}", on_one_line(&known.join(", "))),
        };
        let more = meant(operation, flag, value);
        eprintln!("{flag} {value}: no dead letter has it; {instead}{more}");
    }
    Ok(())
}

/// Some of the values that letters of the slot have; `None` when this is one of them.
async fn known(operation: &Operation<'_>, column: &str, value: &str) -> Result<Option<Vec<String>>, Failure> {
    let statement = format!(
        "SELECT EXISTS (SELECT FROM outbox_relay.dead_letters d WHERE d.slot_name = $1 AND d.{column} = $2),
             ARRAY(SELECT DISTINCT d.{column} FROM outbox_relay.dead_letters d
                   WHERE d.slot_name = $1 AND d.{column} IS NOT NULL ORDER BY 1 LIMIT $3)"
    );
    let row = operation
        .row(&statement, &[operation.slot(), &value, &LISTED_MAX])
        .await?;
    operation.read(|| {
        let is_known: bool = row.try_get(0)?;
        Ok(if is_known { None } else { Some(row.try_get(1)?) })
    })
}

/// What is wrong with the value whatever letters there are.
fn meant(operation: &Operation<'_>, flag: &str, value: &str) -> String {
    let outboxes = &operation.settings.outbox;
    match flag {
        "--outbox" if !outboxes.contains_key(value) => {
            let names: Vec<&str> = outboxes.keys().map(String::as_str).collect();
            format!("; configured are {}", names.join(", "))
        }
        "--error-type" if FaultCode::find(value).is_none() && !UNTRIED.contains(&value) => {
            let codes = FaultCode::all().map(FaultCode::name).chain(UNTRIED);
            let near = nearest::among(value, codes).map_or(String::new(), |near| format!(": did you mean {near}?"));
            format!("; it is no code of `outbox-relay explain`{near}")
        }
        _ => String::new(),
    }
}
