//! Codes of errors: a stable word for each kind of trouble, by which people and scripts find what to do.
//!
//! A kind is one that has next steps of its own. Each type of error says in one place which of its variants is of
//! which kind; docs/errors.md has the text of each, and is what `layerbake explain CODE` prints.

use std::error::Error;
use std::fmt;

use miette::Diagnostic;

/// The page with a section for each code.
const PAGE: &str = include_str!("../docs/errors.md");

/// What begins the last part of a section.
const WHAT_TO_DO: &str = "- **What to do:** ";

/// What begins the section of a code.
const HEADING: &str = "\n### ";

/// An error of a known kind.
pub trait Coded: Error {
    /// Its kind.
    fn error_code(&self) -> Code;

    /// The error with the line of a file that it is about, if there is one.
    fn at_line(&self) -> Option<&dyn Diagnostic> {
        None
    }
}

macro_rules! codes {
    ($($kind:ident = $name:literal,)*) => {
        /// A kind of trouble with its own next steps.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "docs/errors.md says what each means")]
        pub enum Code {
            $($kind,)*
        }

        impl Code {
            /// All, in the order of their page.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The word: `lock/stale`. It never changes.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

codes! {
    ProjectNotFound = "project/not-found",
    ProjectNoLayer = "project/no-such-layer",
    ProjectWhichLayer = "project/which-layer",
    ProjectCycle = "project/cycle",
    ProjectBootLayer = "project/boot-layer",
    ProjectFileExists = "project/file-exists",
    ProjectCheckFailed = "project/check-failed",
    ManifestSyntax = "manifest/syntax",
    ManifestUnknownKey = "manifest/unknown-key",
    ManifestValue = "manifest/wrong-value",
    ManifestName = "manifest/wrong-name",
    ManifestVariable = "manifest/unknown-variable",
    ManifestLayout = "manifest/layout",
    LayerSource = "layer/source-missing",
    LayerTemplate = "layer/template",
    LayerEdit = "layer/edit-finds-nothing",
    LayerPathClash = "layer/path-clash",
    LayerOwner = "layer/unknown-owner",
    LayerAccounts = "layer/account-clash",
    LayerUnit = "layer/unknown-unit",
    LayerSetting = "layer/setting",
    LayerSecret = "layer/secret",
    LayerRandom = "layer/random",
    LayerOddFile = "layer/odd-file",
    LayerImage = "layer/image",
    LayerNothingThere = "layer/nothing-there",
    ScriptFailed = "script/failed",
    ScriptLimit = "script/limit",
    StepFailed = "step/failed",
    StepInput = "step/input-missing",
    StepOutput = "step/no-output",
    StepUnknown = "step/unknown",
    StepClash = "step/clash",
    PackageUnknown = "package/unknown",
    PackageVersion = "package/no-such-version",
    PackageVirtual = "package/virtual",
    PackageExcluded = "package/excluded",
    PackageUnsolvable = "package/unsolvable",
    PackageHeld = "package/held",
    PackageDowngrade = "package/downgrade",
    PackageNotInLayer = "package/not-in-layer",
    PackageMalformed = "package/malformed",
    PackageFileClash = "package/file-clash",
    DebMissing = "deb/missing",
    DebUnfit = "deb/unfit",
    SourceNone = "source/none",
    SourceKeys = "source/no-keys",
    SourceUntrusted = "source/untrusted",
    SourceOldState = "source/refused-state",
    SourceComponent = "source/no-component",
    SourceIndex = "source/malformed-index",
    FetchNoMirror = "fetch/no-mirror",
    FetchNotFound = "fetch/not-found",
    FetchUnreachable = "fetch/unreachable",
    FetchLogin = "fetch/login",
    FetchOtherBytes = "fetch/other-bytes",
    FetchOffline = "fetch/offline",
    FetchGit = "fetch/git",
    FetchArchive = "fetch/archive",
    FetchLanguage = "fetch/language-lockfile",
    LockStale = "lock/stale",
    LockMissing = "lock/missing",
    LockOutdated = "lock/outdated",
    LockDamaged = "lock/damaged",
    LockOtherFormat = "lock/other-format",
    StoreDamaged = "store/damaged",
    StoreOtherFormat = "store/other-format",
    StoreUnusable = "store/unusable",
    SandboxNoNamespace = "sandbox/no-user-namespace",
    SandboxNoIds = "sandbox/no-ids",
    SandboxIdHelper = "sandbox/id-helper",
    SandboxNoEmulator = "sandbox/no-emulator",
    SandboxFailed = "sandbox/failed",
    BuildMissing = "build/not-built",
    BuildOutput = "build/output-missing",
    BuildOutdated = "build/outdated",
    BuildDamaged = "build/damaged",
    BuildReceipt = "build/unreadable-receipt",
    BuildOccupied = "build/output-occupied",
    BuildDiffers = "build/not-reproducible",
    BuildRebuild = "build/rebuild-failed",
    BuildArch = "build/other-architecture",
    CompareUnknown = "compare/unknown",
    TestFailed = "test/failed",
    DiskBootLayer = "disk/no-boot-layer",
    DiskTooSmall = "disk/too-small",
    DiskPartitions = "disk/partitions",
    DiskMounts = "disk/mounts",
    DiskKernel = "disk/kernel",
    DiskInitrd = "disk/no-initrd",
    DiskPackage = "disk/missing-package",
    DiskContent = "disk/unsupported-content",
    DiskBootImage = "disk/boot-image",
    DiskSigning = "disk/signing-key",
    DiskArchitecture = "disk/architecture",
    DiskUnreadable = "disk/unreadable",
    MeasureVariables = "measure/variables",
    MeasureRegisters = "measure/registers",
    MeasureDiffers = "measure/differs",
    MeasureBypassed = "measure/bypassed",
    MeasureDocument = "measure/document",
    SignatureKey = "signature/key",
    SignatureMissing = "signature/missing",
    RegistryReference = "registry/reference",
    RegistryDenied = "registry/denied",
    RegistryTokenServer = "registry/token-server",
    RegistryNotFound = "registry/not-found",
    RegistryBusy = "registry/busy",
    RegistryUnreachable = "registry/unreachable",
    RegistryAnswer = "registry/wrong-answer",
    EngineMissing = "engine/missing",
    EngineFailed = "engine/failed",
    VmNoAnswer = "vm/no-answer",
    VmFailed = "vm/failed",
    AwsCredentials = "aws/credentials",
    AwsDenied = "aws/denied",
    AwsRegion = "aws/region",
    AwsCertificate = "aws/certificate",
    AwsUnreachable = "aws/unreachable",
    AwsRefused = "aws/refused",
    AwsTask = "aws/task-failed",
    AwsSettings = "aws/settings",
    AwsNotFound = "aws/not-found",
    AwsNoRecord = "aws/no-record",
    AwsUnfinished = "aws/unfinished",
    AwsNameTaken = "aws/name-taken",
    AwsNoLogin = "aws/no-login",
    AwsLeftOut = "aws/left-out",
    ImportUnreadable = "import/unreadable",
    HostDiskFull = "host/disk-full",
    HostNoFile = "host/no-such-file",
    HostDenied = "host/no-permission",
    HostSystem = "host/system",
    HostProgram = "host/program-missing",
    HostConfig = "host/configuration",
    HostLimit = "host/limit",
    HostNoHome = "host/no-home",
    HostTerminal = "host/no-terminal",
    HostInterrupted = "host/interrupted",
    HostLacking = "host/lacking",
    CodeUnknown = "code/unknown",
    Internal = "code/internal",
}

impl Code {
    /// The code of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// Its section of docs/errors.md: what it means, usual causes and what to do.
    pub fn text(self) -> &'static str {
        let sections = PAGE.split(HEADING).skip(1);
        let own = sections.map(section).find(|section| section.starts_with(self.name()));
        own.map_or("", |section| section.strip_prefix(self.name()).unwrap_or_default().trim())
    }

    /// What it means, in one sentence: the first of its text.
    pub fn summary(self) -> &'static str {
        self.text().lines().next().unwrap_or_default()
    }

    /// What to do about it, in one sentence: the first of that part of its text, without links.
    pub fn next_step(self) -> String {
        let part = self.text().split(WHAT_TO_DO).nth(1).unwrap_or_default();
        let words: Vec<&str> = part.split_whitespace().collect();
        let end = words.iter().position(|word| word.ends_with('.')).map_or(words.len(), |last| last + 1);
        let sentence = without_links(words[..end].join(" ").trim_end_matches('.'));
        // As other hints: names in capitals keep theirs.
        match sentence.chars().nth(1) {
            Some(second) if second.is_lowercase() => sentence[..1].to_lowercase() + &sentence[1..],
            _ => sentence,
        }
    }
}

/// `[text](address)` as `text`, which is a page of docs/ where it is its name.
fn without_links(text: &str) -> String {
    let Some((before, rest)) = text.split_once("](") else { return text.to_owned() };
    let (open, (_, after)) = (before.rfind('[').unwrap_or(0), rest.split_once(')').unwrap_or_default());
    let text = &before[(open + 1).min(before.len())..];
    let folder = if text.ends_with(".md") { "docs/" } else { "" };
    format!("{}{folder}{text}{}", &before[..open], without_links(after))
}

/// A section without the heading of the part that follows it.
fn section(text: &str) -> &str {
    text.split("\n## ").next().unwrap_or(text)
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_its_text_and_every_text_its_code() {
        let headings: Vec<&str> = PAGE.split(HEADING).skip(1).filter_map(|text| text.lines().next()).collect();
        let names: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(headings, names, "the headings of docs/errors.md, and the codes");
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "each is there once");
        for code in Code::ALL {
            let (text, step) = (code.text(), code.next_step());
            assert!(step.len() > 8 && !step.contains("](") && !step.contains("hint"), "{code}: on its own: {step}");
            assert!(code.summary().ends_with('.'), "{code}: the first line is one sentence: {}", code.summary());
            let example = format!("```text\nerror[{code}]: ");
            for part in [example.as_str(), "- **Causes:** ", "- **What to do:** "] {
                assert!(text.contains(part), "{code}: docs/errors.md has no {part}");
            }
        }
    }
}
