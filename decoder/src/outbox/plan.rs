//! How to read the rows of one described table.

use std::collections::HashMap;
use std::sync::Arc;

use crate::outbox::columns::{Columns, OutboxTable};
use crate::outbox::envelope::{Envelope, IdempotencyKey};
use crate::outbox::metadata::MetadataHeaders;
use crate::outbox::remains::Remains;
use crate::outbox::{RowError, value};
use crate::pgoutput::{Column, RelationBody, Tuple};
use crate::{DecodeError, MappingError, Position, Text, Timestamp, TopicName};

/// Topics are remembered by aggregate type. A table with more types than this only pays for rendering them again.
const TOPICS_MAX: usize = 1024;

/// The parts that columns play. A part is an index into a row's values and a bit in a column's mask.
#[derive(Debug, Clone, Copy)]
enum Part {
    Id,
    AggregateType,
    AggregateId,
    EventType,
    Payload,
    Metadata,
    CreatedAt,
    Version,
}

const PARTS: [Part; 8] = [
    Part::Id,
    Part::AggregateType,
    Part::AggregateId,
    Part::EventType,
    Part::Payload,
    Part::Metadata,
    Part::CreatedAt,
    Part::Version,
];

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::AggregateType => "aggregate_type",
            Self::AggregateId => "aggregate_id",
            Self::EventType => "event_type",
            Self::Payload => "payload",
            Self::Metadata => "metadata",
            Self::CreatedAt => "created_at",
            Self::Version => "version",
        }
    }

    fn column(self, columns: &Columns) -> Option<&str> {
        match self {
            Self::Id => columns.id.as_deref(),
            Self::AggregateType => Some(&columns.aggregate_type),
            Self::AggregateId => columns.aggregate_id.as_deref(),
            Self::EventType => columns.event_type.as_deref(),
            Self::Payload => Some(&columns.payload),
            Self::Metadata => columns.metadata.as_deref(),
            Self::CreatedAt => columns.created_at.as_deref(),
            Self::Version => columns.version.as_deref(),
        }
    }

    /// Whether a table may lack the column: the part is optional and its name is a preset's, not the user's own.
    fn may_be_missing(self, column: &str) -> bool {
        let optional = matches!(self, Self::EventType | Self::Metadata | Self::CreatedAt | Self::Version);
        optional
            && [Columns::standard(), Columns::debezium()]
                .iter()
                .any(|preset| self.column(preset) == Some(column))
    }
}

/// The values of one row, by part.
type Row<'a> = [Column<'a>; PARTS.len()];

#[derive(Debug)]
pub(super) struct Plan {
    outbox: u16,
    table: OutboxTable,
    qualified: String,
    /// For each column, the parts it plays, as bits.
    masks: Vec<u8>,
    has_id: bool,
    type_oids: [u32; PARTS.len()],
    topics: HashMap<Arc<str>, TopicName>,
    /// Rows of one aggregate type come in series: the type of the row before this one, and its topic.
    newest_topic: Option<(Arc<str>, TopicName)>,
}

impl Plan {
    /// # Errors
    /// The outer one: the description cannot be read. The inner one: it lacks a column that is needed.
    pub(super) fn new(
        outbox: u16,
        table: &OutboxTable,
        relation: &RelationBody<'_>,
        domains: &HashMap<u32, u32>,
    ) -> Result<Result<Self, MappingError>, DecodeError> {
        let described = relation.columns().collect::<Result<Vec<_>, _>>()?;
        let mut masks = vec![0; described.len()];
        let mut type_oids = [0; PARTS.len()];
        let qualified = format!("{}.{}", table.schema, table.table);
        for part in PARTS {
            let Some(name) = part.column(&table.columns) else {
                continue;
            };
            match described.iter().position(|column| column.name == name) {
                Some(index) => {
                    masks[index] |= 1 << part as usize;
                    let type_oid = described[index].type_oid;
                    type_oids[part as usize] = domains.get(&type_oid).copied().unwrap_or(type_oid);
                }
                None if part.may_be_missing(name) => {}
                None => {
                    let column = name.to_owned();
                    return Ok(Err(MappingError::MissingColumn {
                        table: qualified,
                        column,
                        part: part.name(),
                    }));
                }
            }
        }
        let has_id = table.columns.id.is_some();
        Ok(Ok(Self {
            outbox,
            table: table.clone(),
            qualified,
            masks,
            has_id,
            type_oids,
            topics: HashMap::new(),
            newest_topic: None,
        }))
    }

    pub(super) fn envelope<'e>(
        &'e mut self,
        tuple: Tuple<'e>,
        position: Position,
        committed_at: Timestamp,
        system_identifier: u64,
    ) -> Result<Envelope<'e>, RowError> {
        let row = self.row(tuple)?;
        let aggregate_type = self.required(&row, Part::AggregateType)?;
        self.remember_topic(&aggregate_type)?;
        let plan = &*self;
        let idempotency_key = plan.idempotency_key(&row, position, system_identifier)?;
        Ok(Envelope {
            position,
            committed_at,
            outbox: plan.outbox,
            idempotency_key,
            topic: plan.topic(),
            key: plan.text(&row, Part::AggregateId)?,
            event_type: plan.text(&row, Part::EventType)?,
            payload: plan.text(&row, Part::Payload)?,
            version: plan.text(&row, Part::Version)?,
            occurred_at: plan.timestamp(&row)?,
            metadata: plan.metadata(&row)?,
            aggregate_type,
        })
    }

    /// Each part on its own; `None` when not even the columns can be told from each other.
    pub(super) fn remains<'e>(
        &'e self,
        tuple: Tuple<'e>,
        position: Position,
        committed_at: Timestamp,
        system_identifier: u64,
    ) -> Option<Remains<'e>> {
        let row = self.row(tuple).ok()?;
        let text = |part| self.text(&row, part).ok().flatten();
        let aggregate_type = text(Part::AggregateType);
        Some(Remains {
            position,
            committed_at,
            outbox: self.outbox,
            idempotency_key: self
                .idempotency_key(&row, position, system_identifier)
                .unwrap_or_else(|_| IdempotencyKey::derived(system_identifier, position)),
            topic: aggregate_type.as_ref().and_then(|name| self.render_topic(name).ok()),
            key: text(Part::AggregateId),
            event_type: text(Part::EventType),
            payload: text(Part::Payload),
            version: text(Part::Version),
            occurred_at: self.timestamp(&row).ok().flatten(),
            aggregate_type,
        })
    }

    fn idempotency_key<'e>(
        &self,
        row: &Row<'e>,
        position: Position,
        system_identifier: u64,
    ) -> Result<IdempotencyKey<'e>, MappingError> {
        if !self.has_id {
            return Ok(IdempotencyKey::derived(system_identifier, position));
        }
        let id = self.required(row, Part::Id)?;
        if id.as_bytes().is_empty() {
            return Err(self.unreadable(Part::Id, "it is empty, and every record needs a key of its own"));
        }
        Ok(IdempotencyKey::of_row(id))
    }

    fn row<'e>(&self, tuple: Tuple<'e>) -> Result<Row<'e>, RowError> {
        if tuple.len() != self.masks.len() {
            let (sent, described) = (tuple.len(), self.masks.len());
            return Err(MappingError::ColumnCount {
                table: self.qualified.clone(),
                sent,
                described,
            }
            .into());
        }
        let mut row = [Column::Null; PARTS.len()];
        let mut columns = tuple.columns();
        for (&mask, column) in self.masks.iter().zip(columns.by_ref()) {
            let (column, mut left) = (column?, mask);
            while left != 0 {
                row[left.trailing_zeros() as usize] = column;
                left &= left - 1;
            }
        }
        columns.end()?;
        Ok(row)
    }

    fn text<'e>(&self, row: &Row<'e>, part: Part) -> Result<Option<Text<'e>>, MappingError> {
        value::text(self.type_oids[part as usize], row[part as usize]).map_err(|why| self.unreadable(part, why))
    }

    fn required<'e>(&self, row: &Row<'e>, part: Part) -> Result<Text<'e>, MappingError> {
        self.text(row, part)?.ok_or_else(|| MappingError::Null {
            table: self.qualified.clone(),
            part: part.name(),
        })
    }

    fn timestamp(&self, row: &Row<'_>) -> Result<Option<Timestamp>, MappingError> {
        let part = Part::CreatedAt;
        value::timestamp(self.type_oids[part as usize], row[part as usize]).map_err(|why| self.unreadable(part, why))
    }

    fn metadata<'e>(&'e self, row: &Row<'e>) -> Result<MetadataHeaders<'e>, MappingError> {
        if self.table.metadata_headers.is_empty() {
            return Ok(MetadataHeaders::default());
        }
        match self.text(row, Part::Metadata)? {
            None => Ok(MetadataHeaders::default()),
            Some(Text::Wire(document)) => MetadataHeaders::read(&self.table.metadata_headers, document)
                .ok_or_else(|| self.unreadable(Part::Metadata, "it is not JSON")),
            Some(_) => Err(self.unreadable(Part::Metadata, "its type is not json, jsonb or text")),
        }
    }

    /// Makes `newest_topic` that of this aggregate type.
    fn remember_topic(&mut self, aggregate_type: &Text<'_>) -> Result<(), MappingError> {
        let aggregate_type = self.utf8(aggregate_type)?;
        if self
            .newest_topic
            .as_ref()
            .is_some_and(|(newest, _)| **newest == *aggregate_type)
        {
            return Ok(());
        }
        if let Some((aggregate_type, topic)) = self.topics.get_key_value(aggregate_type) {
            self.newest_topic = Some((Arc::clone(aggregate_type), topic.clone()));
            return Ok(());
        }
        let topic = self.topic_of(aggregate_type)?;
        if self.topics.len() >= TOPICS_MAX {
            self.topics.clear();
        }
        let aggregate_type: Arc<str> = aggregate_type.into();
        self.topics.insert(Arc::clone(&aggregate_type), topic.clone());
        self.newest_topic = Some((aggregate_type, topic));
        Ok(())
    }

    fn render_topic(&self, aggregate_type: &Text<'_>) -> Result<TopicName, MappingError> {
        self.topic_of(self.utf8(aggregate_type)?)
    }

    fn topic_of(&self, aggregate_type: &str) -> Result<TopicName, MappingError> {
        let Self { table, qualified, .. } = self;
        let topic = table.topic.render(&table.schema, &table.table, aggregate_type);
        topic.map_err(|source| MappingError::Topic {
            table: qualified.clone(),
            source,
        })
    }

    fn topic(&self) -> &TopicName {
        let newest = self.newest_topic.as_ref();
        &newest.expect("the topic was remembered a moment ago").1
    }

    fn utf8<'t>(&self, aggregate_type: &'t Text<'_>) -> Result<&'t str, MappingError> {
        std::str::from_utf8(aggregate_type.as_bytes())
            .map_err(|_| self.unreadable(Part::AggregateType, "it is not UTF-8"))
    }

    fn unreadable(&self, part: Part, why: &'static str) -> MappingError {
        MappingError::Unreadable {
            table: self.qualified.clone(),
            part: part.name(),
            why,
        }
    }
}
