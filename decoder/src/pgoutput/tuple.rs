//! A row, column by column.

use crate::DecodeError;
use crate::wire::Reader;

/// A row. Its columns are read one after the other, as they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple<'a> {
    columns: u16,
    bytes: &'a [u8],
}

impl<'a> Tuple<'a> {
    /// Reads the new row of an insert.
    pub(super) fn parse(reader: &mut Reader<'a>, message: &'static str) -> Result<Self, DecodeError> {
        match reader.u8()? {
            b'N' => {}
            byte => {
                return Err(DecodeError::UnknownByte {
                    message,
                    what: "tuple kind",
                    byte,
                });
            }
        }
        let columns = reader.u16()?;
        Ok(Self {
            columns,
            bytes: reader.rest(),
        })
    }

    /// How many columns the row has.
    pub fn len(&self) -> usize {
        usize::from(self.columns)
    }

    /// A row of a table without columns.
    pub fn is_empty(&self) -> bool {
        self.columns == 0
    }

    /// The columns, in the order of the table's description.
    pub fn columns(&self) -> TupleColumns<'a> {
        TupleColumns {
            left: self.columns,
            reader: Reader::new(self.bytes, "row"),
        }
    }
}

/// One value of a row. Text or binary is decided for each column by the server: a type without a binary form comes as
/// text although binary was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column<'a> {
    /// NULL.
    Null,
    /// A large value that an update left as it was. Never part of an insert.
    Unchanged,
    /// The type's text form.
    Text(&'a [u8]),
    /// The type's binary form.
    Binary(&'a [u8]),
}

/// Iterates over the columns of a [`Tuple`].
#[derive(Debug, Clone)]
pub struct TupleColumns<'a> {
    left: u16,
    reader: Reader<'a>,
}

impl TupleColumns<'_> {
    /// After the last column: checks that the row ends here too.
    ///
    /// # Errors
    /// Bytes are left over.
    pub fn end(self) -> Result<(), DecodeError> {
        self.reader.end()
    }
}

impl<'a> Iterator for TupleColumns<'a> {
    type Item = Result<Column<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut read = || match self.reader.u8()? {
            b'n' => Ok(Column::Null),
            b'u' => Ok(Column::Unchanged),
            b't' => {
                let length = self.reader.length()?;
                Ok(Column::Text(self.reader.take(length)?))
            }
            b'b' => {
                let length = self.reader.length()?;
                Ok(Column::Binary(self.reader.take(length)?))
            }
            byte => Err(DecodeError::UnknownByte {
                message: "row",
                what: "column kind",
                byte,
            }),
        };
        let column = read();
        if column.is_err() {
            self.left = 0;
        }
        Some(column)
    }
}
