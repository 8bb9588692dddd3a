//! The notice as HTML.

use std::fmt::Write;
use std::time::Duration;

use super::facts::Facts;
use super::language::Language;
use super::words::{Words, words};

/// The whole page.
pub(super) fn page(facts: &Facts, language: Language) -> String {
    let words = words(language);
    let mut body = format!("<h1>{}</h1>\n<p class=\"lead\">{}</p>\n", words.title, lead(facts, words));
    section(&mut body, words.responsible, &operator(facts, words));
    if let Some(purpose) = &facts.stated.purpose {
        section(&mut body, words.purpose, &format!("<p>{}</p>", escaped(purpose)));
    }
    let off = off(facts, words).join(", ");
    let off =
        if off.is_empty() { off } else { format!("<p class=\"quiet\">{}</p>", words.off.replace("{list}", &off)) };
    section(&mut body, words.analysed, &(list(&analysed(facts, words)) + &off));
    section(&mut body, words.stored, &list(&stored(facts, words)));
    let rights = [words.access, words.erasure, words.objection, words.complaint].map(str::to_owned);
    let text = format!("<p>{}</p>{}<p>{}</p>", words.rights_begin, list(&rights), words.rights_end);
    section(&mut body, words.rights, &text);
    let title = words.title;
    format!(
        "<!doctype html>\n<html lang=\"{code}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{title}</title>\n<link rel=\"stylesheet\" href=\"notice.css\">\n</head>\n<body>\n\
         {links}<main>\n{body}<footer><p>{end}</p></footer>\n</main>\n</body>\n</html>\n",
        code = language.code(),
        links = links(language),
        end = words.end,
    )
}

/// The links to the other languages.
fn links(current: Language) -> String {
    let mut links = String::from("<nav>");
    for language in Language::ALL {
        let (code, name) = (language.code(), language.name());
        let mark = if language == current { " aria-current=\"true\"" } else { "" };
        let _ = write!(links, "<a href=\"?lang={code}\" lang=\"{code}\" hreflang=\"{code}\"{mark}>{name}</a>");
    }
    links + "</nav>\n"
}

fn section(body: &mut String, heading: &str, contents: &str) {
    let _ = writeln!(body, "<section><h2>{heading}</h2>{contents}</section>");
}

fn list(items: &[String]) -> String {
    let items: String = items.iter().map(|item| format!("<li>{item}</li>")).collect();
    format!("<ul>{items}</ul>")
}

fn lead(facts: &Facts, words: &Words) -> String {
    match facts.cameras {
        1 => words.camera.to_owned(),
        count => words.cameras.replace("{n}", &count.to_string()),
    }
}

fn operator(facts: &Facts, words: &Words) -> String {
    let operator = facts.stated.operator.as_deref().map_or_else(|| words.no_operator.to_owned(), escaped);
    let contact =
        facts.stated.contact.as_deref().map(|contact| format!("<p>{}: {}</p>", words.contact, escaped(contact)));
    format!("<p>{operator}</p>{}", contact.unwrap_or_default())
}

fn analysed(facts: &Facts, words: &Words) -> Vec<String> {
    let all = [
        (true, words.faces),
        (facts.age, words.age),
        (facts.gender, words.gender),
        (facts.smile, words.smile),
        (facts.expression, words.expression),
        (facts.head_pose, words.head_pose),
        (facts.compared, words.compared),
        (facts.alarms, words.alarms),
        (facts.alarms_of_unknown, words.alarms_of_unknown),
    ];
    all.into_iter().filter(|(on, _)| *on).map(|(_, text)| text.to_owned()).collect()
}

fn off<'a>(facts: &Facts, words: &'a Words) -> Vec<&'a str> {
    let all = [
        (facts.age, words.off_age),
        (facts.gender, words.off_gender),
        (facts.smile, words.off_smile),
        (facts.expression, words.off_expression),
        (facts.head_pose, words.off_head_pose),
        (facts.compared, words.off_compared),
        (facts.sightings.is_some(), words.off_sightings),
        (facts.film, words.off_film),
    ];
    all.into_iter().filter(|(on, _)| !*on).map(|(_, text)| text).collect()
}

fn stored(facts: &Facts, words: &Words) -> Vec<String> {
    if !facts.stores() {
        return vec![words.nothing.to_owned()];
    }
    let kept = |text: &str, time: Option<Duration>| time.map(|time| text.replace("{time}", &span(time, words)));
    let plain = |on: bool, text: &str| on.then(|| text.to_owned());
    let in_gallery = facts.alarms || facts.visitors.is_some() || facts.sightings.is_some();
    let place = if facts.stated.database { words.in_a_database } else { words.on_this_machine };
    let all = [
        kept(words.sightings, facts.sightings),
        kept(words.visitors, facts.visitors),
        plain(facts.alarms, words.alarm_list),
        plain(facts.alarms && facts.alarm_pictures, words.alarm_pictures),
        plain(in_gallery, place),
        plain(facts.film, words.film),
        plain(facts.stated.files, words.files),
        plain(facts.stated.sent, words.sent),
    ];
    all.into_iter().flatten().collect()
}

/// A time in days, with one decimal if it is no whole number.
fn span(time: Duration, words: &Words) -> String {
    let days = (time.as_secs_f64() / 86_400.0 * 10.0).round().max(1.0) / 10.0;
    if days == 1.0 { words.day.to_owned() } else { words.days.replace("{n}", &days.to_string()) }
}

/// A text of the operator, which may contain any characters. Its lines stay lines.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.trim().chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\n' => escaped += "<br>",
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice_params::NoticeParams;

    #[test]
    fn the_text_of_the_operator_is_no_markup() {
        let stated = NoticeParams {
            operator: Some("Ada & Co <script>alert(\"x\")</script>\nLondon".into()),
            contact: Some("a@b.example".into()),
            purpose: Some("<b>counting</b>".into()),
            ..NoticeParams::default()
        };
        let page = page(&Facts { stated, cameras: 1, ..Facts::default() }, Language::English);
        assert!(page.contains("Ada &amp; Co &lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;<br>London"), "{page}");
        assert!(page.contains("Contact: a@b.example") && page.contains("&lt;b&gt;counting"), "{page}");
        assert!(!page.contains("<script"));
    }

    #[test]
    fn only_what_is_so_is_said_in_every_language() {
        let day = Duration::from_secs(86_400);
        let all = Facts {
            stated: NoticeParams { files: true, sent: true, database: true, ..NoticeParams::default() },
            cameras: 3,
            age: true,
            gender: true,
            smile: true,
            expression: true,
            head_pose: true,
            compared: true,
            alarms: true,
            alarms_of_unknown: true,
            alarm_pictures: true,
            visitors: Some(day * 30),
            sightings: Some(day),
            film: true,
        };
        for language in Language::ALL {
            let words = words(language);
            let nothing = page(&Facts { cameras: 1, ..Facts::default() }, language);
            assert!(nothing.contains(words.nothing) && nothing.contains(words.no_operator), "{nothing}");
            assert!(nothing.contains(words.off_film) && nothing.contains(words.camera), "{nothing}");
            for absent in [words.age, words.compared, words.alarms, words.film, words.sent, words.on_this_machine] {
                assert!(!nothing.contains(absent), "{absent}");
            }
            let everything = page(&all, language);
            for present in [
                words.age,
                words.expression,
                words.alarms_of_unknown,
                words.alarm_pictures,
                words.film,
                words.in_a_database,
            ] {
                assert!(everything.contains(present), "{present}");
            }
            let days = words.days.replace("{n}", "30");
            assert!(everything.contains(&days) && everything.contains(words.day), "{everything}");
            assert!(!everything.contains(words.nothing) && !everything.contains(words.off_age), "{everything}");
            for page in [nothing, everything] {
                assert!(
                    !page.contains('{') && page.contains(&format!("<html lang=\"{}\">", language.code())),
                    "{page}"
                );
            }
        }
    }
}
