//! How much room a text takes. The reader's browser chooses the font, so that it is estimated, for a wide one.

/// A size of text in px, and its weight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Font {
    pub(super) px: u32,
    pub(super) bold: bool,
}

/// Bold text is so much wider.
const BOLD: f64 = 1.1;

/// The width of a character in `DejaVu Sans`, the widest of the usual fonts, about.
const fn em(character: char) -> f64 {
    match character {
        ' ' | ',' | '.' | ':' | ';' | '/' | '(' | ')' | '-' | 'f' | 'i' | 'j' | 'l' | 'r' | 't' => 0.38,
        'm' | 'w' | 'M' | 'W' | '%' => 0.96,
        'A'..='Z' => 0.7,
        _ => 0.63,
    }
}

impl Font {
    pub(super) const fn regular(px: u32) -> Font {
        Font { px, bold: false }
    }

    pub(super) const fn bold(px: u32) -> Font {
        Font { px, bold: true }
    }

    /// In px.
    pub(super) fn width(self, text: &str) -> f64 {
        let ems: f64 = text.chars().map(em).sum();
        ems * f64::from(self.px) * if self.bold { BOLD } else { 1.0 }
    }

    /// From line to line, in px.
    pub(super) const fn line_height(self) -> u32 {
        self.px + self.px / 3
    }

    /// Lines that are no longer than `width`, as far as words can be broken between.
    pub(super) fn wrap(self, text: &str, width: f64) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split_whitespace() {
            match lines.last_mut() {
                Some(line) if self.width(line) + self.width(" ") + self.width(word) <= width => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words_and_keeps_all_of_them() {
        let font = Font::regular(10);
        let lines = font.wrap("one two three four", font.width("three four"));
        assert_eq!(lines, ["one two", "three four"]);
    }

    #[test]
    fn digits_and_capitals_take_more_room_than_small_letters() {
        assert!(Font::bold(10).width("12,345") > Font::regular(10).width("12,345"));
        assert!(Font::regular(10).width("WAL") > Font::regular(10).width("all"));
    }

    #[test]
    fn a_word_that_is_too_long_has_a_line_of_its_own() {
        assert_eq!(
            Font::bold(10).wrap("a verylongword b", 30.0),
            ["a", "verylongword", "b"]
        );
    }
}
