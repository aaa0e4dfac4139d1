//! A table as the catalog has it, described as the server would describe it on the stream.

use outbox_decoder::Columns;
use postgres_protocol::escape::escape_identifier;
use tokio_postgres::{Client, Row};

use super::copy::Form;
use crate::postgres::PostgresError;

/// Columns with their types. Of a domain the stream names the type that it is made of in the end.
const COLUMNS: &str = "
    SELECT c.oid, a.attname::text, a.atttypid, t.typsend <> 0, t.typname::text, base.typname::text,
        CASE WHEN base.typnamespace = 'pg_catalog'::regnamespace THEN '' ELSE base.typnamespace::regnamespace::text END
    FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_type t ON t.oid = a.atttypid
        LEFT JOIN LATERAL (
            WITH RECURSIVE made_of AS (
                SELECT t.oid AS type, t.typtype AS kind, t.typbasetype AS next
                UNION ALL
                SELECT d.oid, d.typtype, d.typbasetype FROM pg_type d JOIN made_of ON d.oid = made_of.next
                WHERE made_of.kind = 'd'
            )
            SELECT b.typname, b.typnamespace FROM made_of JOIN pg_type b ON b.oid = made_of.type WHERE made_of.kind <> 'd'
        ) AS base ON t.typtype = 'd'
    WHERE n.nspname = $1 AND c.relname = $2 ORDER BY a.attnum";

/// An outbox table's mapped columns.
#[derive(Debug, Clone)]
pub struct Table {
    schema: String,
    table: String,
    pub(super) oid: u32,
    columns: Vec<Column>,
}

#[derive(Debug, Clone)]
struct Column {
    name: String,
    type_oid: u32,
    form: Form,
    type_name: String,
    /// Schema and name of what a domain is made of.
    base: Option<(String, String)>,
}

impl Table {
    /// Looks a table up; `None` when it is not there.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn look(client: &Client, schema: &str, table: &str) -> Result<Option<Self>, PostgresError> {
        let rows = client.query(COLUMNS, &[&schema, &table]).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        Ok(Some(Self {
            schema: schema.to_owned(),
            table: table.to_owned(),
            oid: first.try_get(0)?,
            columns: rows.iter().map(column).collect::<Result<_, _>>()?,
        }))
    }

    /// The type of a column, as `timestamptz` or `int8`; of a domain, the one that it is made of. `None` when there is no
    /// such column.
    pub fn type_of(&self, column: &str) -> Option<&str> {
        let column = self.columns.iter().find(|found| found.name == column)?;
        Some(column.base.as_ref().map_or(&column.type_name, |(_, name)| name))
    }

    /// The name, for SQL.
    pub fn quoted(&self) -> String {
        format!("{}.{}", escape_identifier(&self.schema), escape_identifier(&self.table))
    }

    /// Leaves the columns that play a part.
    pub(super) fn mapped(mut self, columns: &Columns) -> Self {
        let parts = [
            columns.id.as_ref(),
            Some(&columns.aggregate_type),
            columns.aggregate_id.as_ref(),
            columns.event_type.as_ref(),
            Some(&columns.payload),
            columns.metadata.as_ref(),
            columns.created_at.as_ref(),
            columns.version.as_ref(),
        ];
        self.columns
            .retain(|column| parts.iter().flatten().any(|part| **part == column.name));
        self
    }

    pub(super) fn forms(&self) -> Vec<Form> {
        self.columns.iter().map(|column| column.form).collect()
    }

    /// The columns as they are selected.
    pub(super) fn selected(&self) -> Vec<String> {
        let select = |column: &Column| {
            let cast = if column.form == Form::Text { "::text" } else { "" };
            escape_identifier(&column.name) + cast
        };
        self.columns.iter().map(select).collect()
    }

    /// The messages by which the stream would describe it: the types first, then the table.
    pub(super) fn description(&self) -> Vec<Vec<u8>> {
        let domains = self.columns.iter().filter_map(|column| {
            let (schema, name) = column.base.as_ref()?;
            let mut message = vec![b'Y'];
            message.extend(column.type_oid.to_be_bytes());
            text(&mut message, schema);
            text(&mut message, name);
            Some(message)
        });
        domains.chain([self.relation()]).collect()
    }

    fn relation(&self) -> Vec<u8> {
        let mut message = vec![b'R'];
        message.extend(self.oid.to_be_bytes());
        text(&mut message, &self.schema);
        text(&mut message, &self.table);
        message.push(b'd');
        // A table has at most 1,600 columns.
        message.extend(u16::try_from(self.columns.len()).unwrap_or(u16::MAX).to_be_bytes());
        for column in &self.columns {
            message.push(0);
            text(&mut message, &column.name);
            message.extend(column.type_oid.to_be_bytes());
            message.extend((-1_i32).to_be_bytes());
        }
        message
    }
}

fn column(row: &Row) -> Result<Column, PostgresError> {
    let (name, schema): (Option<String>, Option<String>) = (row.try_get(5)?, row.try_get(6)?);
    Ok(Column {
        name: row.try_get(1)?,
        type_oid: row.try_get(2)?,
        form: if row.try_get(3)? { Form::Binary } else { Form::Text },
        type_name: row.try_get(4)?,
        base: schema.zip(name),
    })
}

fn text(message: &mut Vec<u8>, text: &str) {
    message.extend(text.as_bytes());
    message.push(0);
}

#[cfg(test)]
mod tests {
    use outbox_decoder::pgoutput::Message;

    use super::*;

    fn table() -> Table {
        let column = |name: &str, type_oid, form, base: Option<(&str, &str)>| Column {
            name: name.to_owned(),
            type_oid,
            form,
            type_name: "whatever".to_owned(),
            base: base.map(|(schema, name)| (schema.to_owned(), name.to_owned())),
        };
        Table {
            schema: "public".to_owned(),
            table: "outbox".to_owned(),
            oid: 9,
            columns: vec![
                column("payload", 114, Form::Binary, None),
                column("id", 20_000, Form::Binary, Some(("", "uuid"))),
                column("note", 25, Form::Binary, None),
                column("aggregate_type", 20_001, Form::Text, None),
            ],
        }
    }

    #[test]
    fn the_description_reads_as_that_of_the_stream() {
        let messages = table().mapped(&Columns::standard()).description();
        let read: Vec<_> = messages.iter().map(|message| Message::parse(message)).collect();
        let [
            Ok(Message::Type {
                oid: 20_000,
                schema: "",
                name: "uuid",
            }),
            Ok(Message::Relation(relation)),
        ] = &read[..]
        else {
            panic!("{read:?}");
        };
        assert_eq!((relation.oid, relation.schema, relation.table), (9, "public", "outbox"));
        let columns: Vec<_> = relation
            .columns()
            .flatten()
            .map(|column| (column.name, column.type_oid))
            .collect();
        assert_eq!(columns, [("payload", 114), ("id", 20_000), ("aggregate_type", 20_001)]);
    }

    #[test]
    fn columns_without_a_binary_form_are_selected_as_text() {
        let table = table().mapped(&Columns::standard());
        assert_eq!(table.selected(), ["\"payload\"", "\"id\"", "\"aggregate_type\"::text"]);
        assert_eq!(table.forms(), [Form::Binary, Form::Binary, Form::Text]);
        assert_eq!(
            (table.type_of("id"), table.type_of("payload"), table.type_of("note")),
            (Some("uuid"), Some("whatever"), None)
        );
    }
}
