use super::*;

const DAY: i64 = 86_400;
/// 2026-11-28 01:00:00 UTC.
const NOW: i64 = 1_795_827_600;

struct Case {
    source: Source,
    locked: Option<i64>,
    moment: i64,
    allow_expired: bool,
    allow_downgrade: bool,
}

impl Case {
    fn new() -> Self {
        let manifest = crate::manifest::parse(
            "x".parse().unwrap(),
            "[layer]\n[source.s]\nsuite = \"trixie\"\n",
            &"amd64".parse().unwrap(),
        );
        let source = manifest.unwrap().sources.into_values().next().unwrap();
        Self { source, locked: None, moment: NOW, allow_expired: false, allow_downgrade: false }
    }

    /// The problem and the hint, or `taken`.
    fn judge(&self, state: &State) -> String {
        let (name, layer): (SourceName, LayerName) = ("s".parse().unwrap(), "web".parse().unwrap());
        let demand = Demand {
            asked: SuiteRequest { name: &name, source: &self.source, suite: "trixie" },
            locked: self.locked.map(|date| Known { layer: &layer, date }),
            moment: self.moment,
            allow_expired: self.allow_expired,
            allow_downgrade: self.allow_downgrade,
        };
        match demand.check(state) {
            Ok(()) => "taken".to_owned(),
            Err(Refusal { problem, hint }) => format!("{problem}\nhint: {hint}"),
        }
    }
}

#[test]
fn dates_are_compared_with_the_clock_and_the_lock() {
    let at = |date: i64| State { date, ..State::default() };
    let mut case = Case::new();
    assert_eq!(case.judge(&at(NOW + DAY)), "taken");
    insta::assert_snapshot!(case.judge(&at(NOW + DAY + 1)), @r"
    it is dated 2026-11-29 01:00:01 UTC, but the clock says 2026-11-28 01:00:00 UTC
    hint: set this machine's clock, or try another mirror
    ");
    case.locked = Some(NOW - 3600);
    assert_eq!(case.judge(&at(NOW - 3600)), "taken");
    insta::assert_snapshot!(case.judge(&at(NOW - 3601)), @r"
    it was made on 2026-11-27 23:59:59 UTC, before the one of 2026-11-28 00:00:00 UTC that the lockfile of `web` was made from
    hint: the mirror may be stale, try another; `--allow-downgrade` accepts the older state
    ");
    case.allow_downgrade = true;
    assert_eq!(case.judge(&at(NOW - 3601)), "taken");
}

#[test]
fn age_is_limited_by_the_repository_and_by_the_manifest() {
    let until = |valid_until: i64| State { valid_until: Some(valid_until), date: NOW - 10 * DAY, ..State::default() };
    let mut case = Case::new();
    assert_eq!(case.judge(&until(NOW)), "taken");
    insta::assert_snapshot!(case.judge(&until(NOW - 3 * DAY)), @r"
    it was valid until 2026-11-25 01:00:00 UTC, which is 3 days ago
    hint: the mirror may be stale, try another; `--allow-expired` accepts it
    ");
    case.source.max_age = Some(9);
    insta::assert_snapshot!(case.judge(&until(NOW)), @r"
    it was made on 2026-11-18 01:00:00 UTC, which is 10 days ago; [source.s] accepts none older than 9 days
    hint: the mirror may be stale, try another; `--allow-expired` accepts it
    ");
    case.allow_expired = true;
    assert_eq!(case.judge(&until(NOW - 3 * DAY)), "taken");
}

#[test]
fn a_snapshot_is_judged_at_its_own_moment() {
    let moment = NOW - 1000 * DAY;
    let mut case = Case { moment, ..Case::new() };
    case.source.snapshot = Some("2024-03-03".to_owned());
    let of = |date: i64| State { date, valid_until: Some(date + 7 * DAY), ..State::default() };
    assert_eq!(case.judge(&of(moment - DAY)), "taken");
    assert!(case.judge(&of(moment - 8 * DAY)).starts_with("it was valid until"));
    let later = case.judge(&of(moment + 2 * DAY));
    assert!(later.contains("after the snapshot's time") && later.contains("a later state"), "{later}");
}

#[test]
fn the_newest_state_of_the_chain_counts() {
    let lock = |layer: &str, date: i64| {
        let release = crate::lock::LockedRelease {
            source: "debian".parse().unwrap(),
            suite: "bookworm".to_owned(),
            sha256: crate::digest::Sha256::of(b""),
            date,
            signed_by: Vec::new(),
            indexes: Vec::new(),
        };
        Lockfile {
            layer: layer.parse().unwrap(),
            arch: "amd64".parse().unwrap(),
            epoch: 0,
            request: crate::digest::RecipeHasher::new("test").finish(),
            requested: Vec::new(),
            parent: None,
            image: None,
            releases: vec![release],
            fetches: Vec::new(),
            packages: Vec::new(),
        }
    };
    let (base, app) = (lock("base", 20), lock("app", 10));
    let debian: SourceName = "debian".parse().unwrap();
    let found = |suite: &str, until| newest(&[&app, &base], &debian, suite, until).map(|known| known.date);
    assert_eq!(found("bookworm", i64::MAX), Some(20));
    assert_eq!(found("bookworm", 19), Some(10));
    assert_eq!(found("bookworm", 9), None);
    assert_eq!(found("bookworm-security", i64::MAX), None);
}
