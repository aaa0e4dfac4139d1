//! Topic names, and the template that makes them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Kafka's own bound.
const TOPIC_NAME_BYTES_MAX: usize = 249;

/// A name that Kafka accepts for a topic. A clone is the same name in the same place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no topic name (Kafka, `org.apache.kafka.common.internals.Topic`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    /// No characters, `.` or `..`.
    #[error("a topic cannot be called {0:?}")]
    Reserved(String),
    /// Longer than 249 bytes.
    #[error("a topic name has at most 249 characters, this one {0}")]
    TooLong(usize),
    /// A character outside letters, digits, `.`, `_` and `-`.
    #[error("{character:?} is not allowed in a topic name; allowed are ASCII letters, digits, '.', '_' and '-'")]
    Character {
        /// The first such character.
        character: char,
    },
}

impl FromStr for TopicName {
    type Err = TopicNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if matches!(name, "" | "." | "..") {
            return Err(TopicNameError::Reserved(name.to_owned()));
        }
        if let Some(character) = name
            .chars()
            .find(|&c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')))
        {
            return Err(TopicNameError::Character { character });
        }
        if name.len() > TOPIC_NAME_BYTES_MAX {
            return Err(TopicNameError::TooLong(name.len()));
        }
        Ok(Self(name.into()))
    }
}

/// Makes a topic name from a row: `outbox.event.{aggregate_type}`.
///
/// Placeholders: `{aggregate_type}`, `{schema}`, `{table}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicTemplate(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    AggregateType,
    Schema,
    Table,
}

/// Why a text is no topic template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicTemplateError {
    /// A brace without its partner.
    #[error("a '{{' or '}}' stands alone; a placeholder looks like {{aggregate_type}}")]
    UnbalancedBrace,
    /// A placeholder that means nothing.
    #[error("{{{0}}} is not a placeholder; those known are {{aggregate_type}}, {{schema}} and {{table}}")]
    UnknownPlaceholder(String),
    /// The fixed parts hold what no topic name can.
    #[error(transparent)]
    Literal(#[from] TopicNameError),
    /// Nothing at all.
    #[error("a topic template cannot be empty")]
    Empty,
}

impl TopicTemplate {
    /// The topic of a row.
    ///
    /// # Errors
    /// The row's values give a name that Kafka does not accept.
    pub fn render(&self, schema: &str, table: &str, aggregate_type: &str) -> Result<TopicName, TopicNameError> {
        let mut name = String::new();
        for part in &self.0 {
            name.push_str(match part {
                Part::Literal(text) => text,
                Part::AggregateType => aggregate_type,
                Part::Schema => schema,
                Part::Table => table,
            });
        }
        name.parse()
    }
}

impl FromStr for TopicTemplate {
    type Err = TopicTemplateError;

    fn from_str(template: &str) -> Result<Self, Self::Err> {
        let mut parts = Vec::new();
        let mut rest = template;
        while !rest.is_empty() {
            let literal_ends = rest.find(['{', '}']).unwrap_or(rest.len());
            let (literal, from_brace) = rest.split_at(literal_ends);
            if !literal.is_empty() {
                match literal.parse::<TopicName>() {
                    // `.` and `..` are no topics, and parts of many.
                    Ok(_) | Err(TopicNameError::Reserved(_)) => parts.push(Part::Literal(literal.to_owned())),
                    Err(error) => return Err(error.into()),
                }
            }
            rest = match from_brace.strip_prefix('{') {
                None if from_brace.is_empty() => from_brace,
                None => return Err(TopicTemplateError::UnbalancedBrace),
                Some(placeholder) => {
                    let (name, after) = placeholder.split_once('}').ok_or(TopicTemplateError::UnbalancedBrace)?;
                    parts.push(placeholder_part(name)?);
                    after
                }
            };
        }
        if parts.is_empty() {
            Err(TopicTemplateError::Empty)
        } else {
            Ok(Self(parts))
        }
    }
}

fn placeholder_part(name: &str) -> Result<Part, TopicTemplateError> {
    match name {
        "aggregate_type" => Ok(Part::AggregateType),
        "schema" => Ok(Part::Schema),
        "table" => Ok(Part::Table),
        other => Err(TopicTemplateError::UnknownPlaceholder(other.to_owned())),
    }
}

impl fmt::Display for TopicTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Literal(text) => f.write_str(text),
            Part::AggregateType => f.write_str("{aggregate_type}"),
            Part::Schema => f.write_str("{schema}"),
            Part::Table => f.write_str("{table}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str, aggregate_type: &str) -> Result<String, TopicNameError> {
        let template: TopicTemplate = template.parse().expect("a valid template");
        template
            .render("sales", "outbox", aggregate_type)
            .map(|topic| topic.to_string())
    }

    #[test]
    fn a_template_makes_the_topic_from_the_row() {
        assert_eq!(
            render("outbox.event.{aggregate_type}", "Order"),
            Ok("outbox.event.Order".to_owned())
        );
        assert_eq!(
            render("ringiflow.{aggregate_type}.events", "Form"),
            Ok("ringiflow.Form.events".to_owned())
        );
        assert_eq!(render("{schema}.{table}", "x"), Ok("sales.outbox".to_owned()));
    }

    #[test]
    fn a_row_that_gives_an_impossible_topic_is_refused() {
        assert_eq!(
            render("{aggregate_type}", "a b"),
            Err(TopicNameError::Character { character: ' ' })
        );
        assert_eq!(
            render("{aggregate_type}", "é"),
            Err(TopicNameError::Character { character: 'é' })
        );
        assert_eq!(
            render("{aggregate_type}", ".."),
            Err(TopicNameError::Reserved("..".to_owned()))
        );
        assert_eq!(
            render("{aggregate_type}", &"a".repeat(250)),
            Err(TopicNameError::TooLong(250))
        );
    }

    #[test]
    fn a_template_with_a_mistake_says_which() {
        let error = |template: &str| template.parse::<TopicTemplate>().expect_err("accepted");
        assert_eq!(
            error("a.{agregate}"),
            TopicTemplateError::UnknownPlaceholder("agregate".to_owned())
        );
        assert_eq!(error("a.{aggregate_type"), TopicTemplateError::UnbalancedBrace);
        assert_eq!(error("a.}"), TopicTemplateError::UnbalancedBrace);
        assert_eq!(error(""), TopicTemplateError::Empty);
        assert!(matches!(error("a b"), TopicTemplateError::Literal(_)));
    }

    #[test]
    fn a_template_prints_as_it_was_written() {
        let text = "a.{schema}.{table}.{aggregate_type}-b";
        assert_eq!(
            text.parse::<TopicTemplate>().map(|template| template.to_string()),
            Ok(text.to_owned())
        );
    }
}
