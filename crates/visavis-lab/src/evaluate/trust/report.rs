//! A document of headings, paragraphs, tables and pictures, as Markdown and as HTML.

/// An empty cell.
pub(super) const NOTHING: &str = "–";

/// A table with a header.
pub(super) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.header.len());
        self.rows.push(cells.into());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

enum Part {
    Heading(String),
    Text(String),
    Table(Table),
    Picture { file: String, caption: String },
}

/// The document.
pub(super) struct Report {
    title: String,
    parts: Vec<Part>,
}

impl Report {
    pub(super) fn new(title: &str) -> Self {
        Self { title: title.into(), parts: Vec::new() }
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.parts.push(Part::Heading(text.into()));
    }

    /// Adds a paragraph; text between backquotes is code.
    pub(super) fn text(&mut self, text: &str) {
        self.parts.push(Part::Text(text.into()));
    }

    pub(super) fn table(&mut self, table: Table) {
        self.parts.push(Part::Table(table));
    }

    /// Adds a picture in a file beside the document.
    pub(super) fn picture(&mut self, file: &str, caption: &str) {
        self.parts.push(Part::Picture { file: file.into(), caption: caption.into() });
    }

    pub(super) fn markdown(&self) -> String {
        let mut text = format!("# {}\n", self.title);
        for part in &self.parts {
            text += "\n";
            text += &match part {
                Part::Heading(heading) => format!("## {heading}\n"),
                Part::Text(paragraph) => format!("{paragraph}\n"),
                Part::Picture { file, caption } => format!("![{caption}]({file})\n"),
                Part::Table(Table { header, rows }) => {
                    let line = |cells: &[String]| {
                        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
                        format!("| {} |\n", cells.join(" | "))
                    };
                    let rules = format!("|{}\n", "---|".repeat(header.len()));
                    line(header) + &rules + &rows.iter().map(|row| line(row)).collect::<String>()
                }
            };
        }
        text
    }

    /// One page that needs nothing but the pictures beside it.
    pub(super) fn html(&self) -> String {
        let title = escaped(&self.title);
        let mut text = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n<h1>{title}</h1>\n"
        );
        for part in &self.parts {
            text += &match part {
                Part::Heading(heading) => format!("<h2>{}</h2>\n", escaped(heading)),
                Part::Text(paragraph) => format!("<p>{}</p>\n", with_code(paragraph)),
                Part::Picture { file, caption } => {
                    let (file, caption) = (escaped(file), escaped(caption));
                    format!(
                        "<figure><img src=\"{file}\" alt=\"{caption}\"><figcaption>{caption}</figcaption></figure>\n"
                    )
                }
                Part::Table(Table { header, rows }) => {
                    let line = |cells: &[String], tag: &str| {
                        let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)));
                        format!("<tr>{}</tr>\n", cells.collect::<String>())
                    };
                    let rows: String = rows.iter().map(|row| line(row, "td")).collect();
                    format!("<div class=\"wide\"><table>\n{}{rows}</table></div>\n", line(header, "th"))
                }
            };
        }
        text
    }
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}.wide{overflow-x:auto}table{border-collapse:collapse}\
th,td{border:1px solid #ccc;padding:.25rem .6rem;text-align:left;font-variant-numeric:tabular-nums}th{background:#f4f5f7}\
img{max-width:100%}figcaption{color:#666}code{background:#f4f5f7}";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Escaped text in which every second part between backquotes is code.
fn with_code(text: &str) -> String {
    let parts = escaped(text);
    let parts = parts.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_have_everything_and_escape_it() {
        let mut report = Report::new("A & B");
        report.heading("Ages < 18");
        report.text("By `visavis`.");
        let mut table = Table::new(&["a", "b"]);
        table.row(["1|2".into(), "<3>".into()]);
        report.table(table);
        report.picture("ages.svg", "Ages");
        let markdown = report.markdown();
        for part in ["# A & B\n", "## Ages < 18\n", "| a | b |\n|---|---|\n| 1\\|2 | <3> |\n", "![Ages](ages.svg)"] {
            assert!(markdown.contains(part), "{part} is missing:\n{markdown}");
        }
        let html = report.html();
        for part in
            ["<h1>A &amp; B</h1>", "Ages &lt; 18", "<code>visavis</code>", "<td>&lt;3&gt;</td>", "src=\"ages.svg\""]
        {
            assert!(html.contains(part), "{part} is missing:\n{html}");
        }
    }
}
