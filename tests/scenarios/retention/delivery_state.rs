//! What became of events, in the database.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

use super::{count, purge_all, settle};

#[test]
fn the_view_shows_every_row_and_what_is_told_of_it_goes_with_it() -> Outcome {
    let setup = Setup::new("states").set("outbox.default.delivery_state", true);
    let mut scenario = setup.start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(3)?;
    let (database, slot) = (scenario.database()?, scenario.name().to_owned());
    let view = "outbox_relay.delivery_default WHERE status = 'pending' AND retry_count = 0 AND updated_at IS NULL";
    ensure(count(&database, view)? == 3, || "not all are pending".to_owned())?;
    database.rows(
        "INSERT INTO outbox_relay.delivery_state
         SELECT $1, 'default', id::text, 'published', now(), 2, 'record_too_large', now() FROM public.outbox",
        &[&slot],
    )?;
    let published =
        "outbox_relay.delivery_default WHERE status = 'published' AND retry_count = 2 AND published_at IS NOT NULL";
    ensure(count(&database, published)? == 3, || "not all are published".to_owned())?;
    let _relay = scenario.streaming_relay()?;
    settle(&scenario)?;
    purge_all(&scenario)?.must(0, &["3 rows removed"])?;
    ensure(count(&database, "outbox_relay.delivery_state")? == 0, || {
        "something is still told".to_owned()
    })
}
