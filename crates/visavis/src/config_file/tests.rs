use clap::{Arg, ArgAction, CommandFactory};

use super::*;

/// A program with a command `live` that has one flag of each kind.
fn program() -> Command {
    let live = Command::new("live")
        .arg(Arg::new("source").action(ArgAction::Append).num_args(0..))
        .arg(Arg::new("config").long("config"))
        .arg(Arg::new("fps").long("fps").value_parser(value_parser!(f64)))
        .arg(Arg::new("offer").long("offer").action(ArgAction::Append))
        .arg(Arg::new("grow").long("grow").action(ArgAction::SetTrue))
        .arg(Arg::new("keep").long("grow-keep").requires("grow").value_parser(value_parser!(u8)))
        .arg(Arg::new("secret").long("secret").hide_env_values(true).value_parser(value_parser!(u8)))
        // A variable that every environment has.
        .arg(Arg::new("folder").long("folder").env("PATH"));
    Command::new("visavis")
        .arg(Arg::new("verbose").short('v').long("verbose").global(true).action(ArgAction::Count))
        .subcommand(live)
}

/// A file with this text.
fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// The words after `live`, completed from a file with this text.
fn completed(text: &str, typed: &[&str]) -> String {
    let file = file(text);
    let words = ["visavis", "live", "--config", file.path().to_str().unwrap()].into_iter().chain(typed.iter().copied());
    let completed = complete(&program(), words.map(OsString::from).collect()).unwrap();
    let words: Vec<_> = completed.words[4..].iter().map(|word| word.to_str().unwrap()).collect();
    program().try_get_matches_from(&completed.words).unwrap();
    words.join(" ")
}

/// The lines and texts of the errors in this text.
fn problems(program: &Command, text: &str) -> Vec<(Option<usize>, String)> {
    let command = built(program).unwrap();
    let (given, problems) = reading::read(text, &command);
    let mut found: Vec<_> = problems.into_iter().map(|problem| (problem.line, problem.text)).collect();
    if found.is_empty() {
        let file = ConfigFile { path: "x.toml".into(), given, problems: Vec::new() };
        found.extend(file.value_problems(program).into_iter().map(|problem| (problem.line, problem.text)));
    }
    found
}

#[test]
fn an_unknown_key_hides_no_wrong_value() {
    let file = file("listn = 1\nfps = 'x'\n");
    let said = check(&program(), file.path()).err().unwrap().to_string();
    assert!(said.contains("2 errors"), "{said}");
}

#[test]
fn every_kind_of_value_becomes_arguments() {
    let text =
        "sources = ['film.mp4', '-']\nfps = 12.5\noffer = ['-a', 'b']\ngrow = true\ngrow-keep = 0x10\nverbose = 2\n";
    let words = completed(text, &[]);
    assert_eq!(words, "--fps=12.5 --offer=-a --offer=b --grow --grow-keep=16 --verbose --verbose -- film.mp4 -");
    assert_eq!(completed("grow = false\noffer = 'one'\n", &["a"]), "a --offer=one --");
}

#[test]
fn flags_come_before_the_environment_and_this_before_the_file() {
    let text = "sources = ['file']\nfps = 1\noffer = ['file']\nfolder = 'file'\ngrow = true\nverbose = 1\n";
    assert_eq!(completed(text, &["--fps", "2"]), "--fps 2 --offer=file --grow --verbose -- file");
    assert_eq!(completed(text, &["--offer", "typed", "typed"]), "--offer typed typed --fps=1 --grow --verbose --");
    assert_eq!(completed(text, &["-v", "--", "typed"]), "-v --fps=1 --offer=file --grow -- typed");
    // What a typed flag needs may be in the file.
    assert_eq!(completed("grow = true", &["--grow-keep=3"]), "--grow-keep=3 --grow --");
}

#[test]
fn other_commands_and_wrong_arguments_are_left_alone() {
    let unchanged = |words: &[&str]| {
        let typed: Vec<_> = words.iter().map(OsString::from).collect();
        let completed = complete(&program(), typed.clone()).unwrap();
        assert!(completed.file.is_none() && completed.words == typed, "{words:?}");
    };
    unchanged(&["visavis"]);
    unchanged(&["visavis", "live", "film.mp4"]);
    unchanged(&["visavis", "live", "--config", "/nowhere", "--help"]);
    unchanged(&["visavis", "live", "--config", "/nowhere", "--unknown"]);
    let missing = ["visavis", "live", "--config", "/nowhere"].map(OsString::from).to_vec();
    assert!(complete(&program(), missing).err().unwrap().to_string().contains("/nowhere"));
}

#[test]
fn errors_name_the_line_and_what_to_do() {
    let cases: [(&str, Option<usize>, &[&str]); 14] = [
        ("\nofer = 'a'", Some(2), &["`ofer`", "`offer`"]),
        ("grow_keep = 1", Some(1), &["`grow_keep`", "`grow-keep`"]),
        ("zzzzzz = 1", Some(1), &["`zzzzzz`", "config example"]),
        ("config = 'x'", Some(1), &["`config`"]),
        ("# a comment\n\n[page]\nfps = 1", Some(3), &["`page`", "table"]),
        ("fps = 1\nfps = 2", Some(2), &["no TOML", "duplicate"]),
        ("fps = 1\noffer = [", Some(2), &["no TOML"]),
        ("grow = 'yes'", Some(1), &["`grow`", "true or false"]),
        ("verbose = 256", Some(1), &["`verbose`", "255"]),
        ("fps = [1]", Some(1), &["`fps`", "brackets"]),
        ("fps = 1979-05-27", Some(1), &["`fps`", "number or a text"]),
        ("grow = true\nfps = 'fast'", Some(2), &["`fps`", "`fast`", "invalid float"]),
        ("grow = true\ngrow-keep = 256", Some(2), &["`grow-keep`", "`256`", "0..=255"]),
        ("fps = 1\n\ngrow-keep = 1\ngrow = false", Some(3), &["`grow-keep`", "`grow`: add it"]),
    ];
    for (text, line, told) in cases {
        let found = problems(&program(), text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert_eq!(found[0].0, line, "{text}: {found:?}");
        for word in told {
            assert!(found[0].1.contains(word), "{text}: {found:?} should contain {word}");
        }
    }
    assert_eq!(problems(&program(), "ofer = 1\ngrow = 1\nfps = []").len(), 3, "all errors are reported");
    assert!(problems(&program(), "grow = true\ngrow-keep = 1").is_empty());
}

#[test]
fn no_error_shows_a_secret() {
    for text in ["secret = 'S3cret'", "secret = ['S3cret']", "secret = 'S3cret", "secret = 'S3cret'\nsecret = 'S3cret'"]
    {
        let found = problems(&program(), text);
        assert!(!found.is_empty() && !format!("{found:?}").contains("S3cret"), "{text}: {found:?}");
    }
    let file = ConfigFile::read(file("secret = 1").path(), &built(&program()).unwrap()).unwrap();
    assert!(file.given[0].secret);
}

#[test]
fn the_example_has_every_flag_of_live_and_can_be_read() {
    let program = crate::Cli::command();
    let live = built(&program).unwrap();
    let text = example(&program, &[]).unwrap();
    println!("{text}");
    let settings: Vec<_> = text.lines().filter(|line| line.starts_with('#') && !line.starts_with("# ")).collect();
    for flag in
        live.get_arguments().filter_map(Arg::get_long).filter(|flag| !["config", "help", "version"].contains(flag))
    {
        let found = settings.iter().filter(|line| line.starts_with(&format!("#{flag} = "))).count();
        assert_eq!(found, 1, "--{flag}");
    }
    assert!(settings.contains(&r#"#sources = ["SOURCE"]"#) && settings.contains(&r#"#listen = "127.0.0.1:8080""#));
    assert!(text.lines().all(|line| line.chars().count() <= 100), "a line is too long");
    for line in settings.iter().filter(|line| **line != "#") {
        // A bare word in capitals stands for a number or for `true` or `false`.
        let (key, value) = line[1..].split_once(" = ").unwrap();
        let bare = value.starts_with(|letter: char| letter.is_ascii_uppercase());
        let value = if bare && key == "mirror" {
            "true"
        } else if bare {
            "1"
        } else {
            value
        };
        let (given, problems) = reading::read(&format!("{key} = {value}"), &live);
        assert!(given.len() == 1 && problems.is_empty(), "{line}: {problems:?}");
    }
    assert!(problems(&program, &text).is_empty(), "the example sets nothing");
}

#[test]
fn an_example_with_values_gives_them() {
    let program = crate::Cli::command();
    let set =
        [("gallery", "a \"b\".gallery"), ("sources", "x"), ("sources", "y"), ("new-gallery", "true"), ("fps", "5")];
    let set: Vec<_> = set.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let text = example(&program, &set).unwrap();
    let (given, problems) = reading::read(&text, &built(&program).unwrap());
    assert!(problems.is_empty(), "{problems:?}");
    let mut words: Vec<_> = given.iter().flat_map(|given| given.words.clone()).collect();
    words.sort();
    assert_eq!(words, ["--fps=5", "--gallery=a \"b\".gallery", "--new-gallery", "x", "y"]);
    for (key, value) in [("galery", "x"), ("grow", "yes")] {
        assert!(example(&program, &[(key.to_owned(), value.to_owned())]).is_err(), "{key}");
    }
}
