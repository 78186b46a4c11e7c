//! Commands of pages that a test cannot run here, each with the reason, and what stands in for it: a function of bash that
//! looks at the arguments as far as one can without the cloud, without root and without another machine.
//!
//! This is the whole list. Everything else on the pages is run as it is printed.

/// A function in place of a program.
pub(crate) struct StandIn {
    /// As a constant of this file.
    pub(crate) name: &'static str,
    /// The program.
    pub(crate) command: &'static str,
    pub(crate) because: &'static str,
    /// What is looked at instead.
    pub(crate) checked: &'static str,
    /// The body of the function. `$source` is the workspace.
    body: &'static str,
}

/// Lines for the beginning of a script.
pub(crate) fn functions(stand_ins: &[&StandIn]) -> String {
    let mut lines = format!("export source='{}'\n", harness::workspace().display());
    for StandIn { command, body, .. } in stand_ins {
        let line = match command.rsplit_once('/') {
            None => format!("{command}() {{\n{body}\n}}\n"),
            // A path is no name of a function.
            Some((folder, _)) => format!(
                "mkdir -p {folder}\ncat >{command} <<'STAND-IN'\n#!/usr/bin/env bash\nset -e\n{body}\nSTAND-IN\nchmod +x {command}\n"
            ),
        };
        lines.push_str(&line);
    }
    lines
}

pub(crate) const ALL: &[&StandIn] = &[
    &SUDO,
    &SUDOEDIT,
    &RUSTUP,
    &DEBIAN_BUILD,
    &APT_GET,
    &SYSTEMCTL,
    &CURL,
    &DOCKER,
    &KUBECTL,
    &AWS,
    &CERTBOT,
    &PIP,
    &CARGO,
    &TESTS_RUN,
    &TESTS_ROTATIONS,
    &TESTS_MUTANTS,
];

/// The rest of the line runs as whoever runs the tests.
pub(crate) const SUDO: StandIn = StandIn {
    name: "SUDO",
    command: "sudo",
    because: "tests have no other users of their own and change nothing of the machine",
    checked: "the command after sudo's options is run; the user is one that a package makes",
    body: r#"while [ $# -gt 0 ]; do
    case $1 in
        -u) [ "$2" = postgres ] || grep -q "^u $2 " "$source/proxy/deploy/debian/sysusers.conf" || return 1; shift 2 ;;
        --preserve-env=*) shift ;;
        *) break ;;
    esac
done
"$@""#,
};

/// A person's edits, as the step of the README lists them.
pub(crate) const SUDOEDIT: StandIn = StandIn {
    name: "SUDOEDIT",
    command: "sudoedit",
    because: "a person edits the file there, in an editor",
    checked: "the fields that the step names are in the file that was copied, and get the test's values",
    body: r#"local edit name
for edit in "${edits[@]}"; do
    name=${edit%% =*}
    grep -q "^$name = " "$1" || { echo "no field $name in $1" >&2; return 1; }
    awk -v name="$name" -v edit="$edit" 'index($0, name " = ") == 1 && !done { print edit; done = 1; next } { print }' \
        "$1" >"$1.edited"
    mv "$1.edited" "$1"
done"#,
};

pub(crate) const RUSTUP: StandIn = StandIn {
    name: "RUSTUP",
    command: "rustup",
    because: "it changes the toolchain, which the tests are built with, from the network",
    checked: "the component is the one that proxy/deploy/build asks for",
    body: r#"grep -q "rustup $*\$" "$source/proxy/deploy/build""#,
};

pub(crate) const DEBIAN_BUILD: StandIn = StandIn {
    name: "DEBIAN_BUILD",
    command: "proxy/deploy/debian/build",
    because: "it builds the programs twice, with a profile of their load, for half an hour; proxy/deploy/check packs the debug ones",
    checked: "the script is there, and a file is made of the name that it gives to the package of this version",
    body: r#"[ -x "$source/proxy/deploy/debian/build" ]
mkdir -p target/debian
touch "target/debian/xks-proxy_$(xks-proxy --version | cut -d ' ' -f 2)_$(dpkg --print-architecture).deb""#,
};

pub(crate) const APT_GET: StandIn = StandIn {
    name: "APT_GET",
    command: "apt-get",
    because: "it needs root and changes the machine; proxy/deploy/check installs the packages in an empty Debian",
    checked: "a file is there; a package is on the list that tests/run installs",
    body: r#"[ "$1" = install ] && shift
local package
for package; do
    case $package in
        ./*) [ -f "$package" ] || { echo "no file $package" >&2; return 1; } ;;
        *) grep -q "| $package\$" "$source/tests/run" || { echo "tests/run does not know $package" >&2; return 1; } ;;
    esac
done"#,
};

/// Starts what the unit starts, as a job of the script.
pub(crate) const SYSTEMCTL: StandIn = StandIn {
    name: "SYSTEMCTL",
    command: "systemctl",
    because: "the machine's services are not the tests'; the unit's sandbox is tried by proxy/deploy/check",
    checked: "the unit exists, and its ExecStart is run with the test's folder in place of /etc",
    body: r#"[ "$1 $2" = "enable --now" ] || return 1
local start
start=$(sed -n 's/^ExecStart=\/usr\/bin\///p' "$source/proxy/deploy/$3.service")
[ -n "$start" ] || return 1
${start//\/etc\//$etc/} >"$etc/service.log" 2>&1 &"#,
};

/// Finds the public name at the port of the test.
pub(crate) const CURL: StandIn = StandIn {
    name: "CURL",
    command: "curl",
    because: "the public name and its certificate are in nobody's DNS and of no public CA",
    checked: "the same request is sent to the proxy of the test, under its name and port",
    body: r#"command curl --silent --show-error --fail --retry 30 --retry-connrefused --retry-delay 1 \
    --cacert "$source/certs/root-ca.crt.pem" --connect-to "::127.0.0.1:$port" "$@""#,
};

pub(crate) const DOCKER: StandIn = StandIn {
    name: "DOCKER",
    command: "docker",
    because: "images are built from others, which are on the network",
    checked: "the Dockerfile is there; proxy/deploy/check lints it",
    body: r#"[ "$1 $2 $4 $6" = "build -f -t ." ] && [ -f "$3" ] && [[ $5 == *:* ]]"#,
};

pub(crate) const KUBECTL: StandIn = StandIn {
    name: "KUBECTL",
    command: "kubectl",
    because: "there is no cluster; proxy/deploy/check renders every overlay and holds it against Kubernetes' schemas",
    checked: "the overlay is there, with its kustomization.yaml",
    body: r#"case "$1 $2" in
    "apply -k") [ -f "$3/kustomization.yaml" ] ;;
    kustomize\ *) [ -f "$2/kustomization.yaml" ] ;;
    *) return 1 ;;
esac"#,
};

/// All services but KMS, which is kms-sim.
pub(crate) const AWS: StandIn = StandIn {
    name: "AWS",
    command: "aws",
    because: "they need an account of AWS, and cost money there",
    checked: "commands of KMS are run against kms-sim; the AWS CLI holds the others against the model of their service",
    body: r#"case $1 in
    kms) command aws "$@" ;;
    # Its skeletons are none that the CLI takes: the command gets as far as the network, where nobody is.
    elbv2)
        local said
        said=$(AWS_MAX_ATTEMPTS=1 command aws "$@" --endpoint-url http://127.0.0.1:1 2>&1) && return 1
        [[ $said == *"Could not connect to the endpoint"* ]] || { echo "$said" >&2; return 1; }
        echo arn:aws:elasticloadbalancing:us-east-1:111122223333:any ;;
    *) command aws "$@" --generate-cli-skeleton output ;;
esac"#,
};

pub(crate) const CERTBOT: StandIn = StandIn {
    name: "CERTBOT",
    command: "certbot",
    because: "it needs a domain, its DNS, and a CA on the network",
    checked: "the files are where the configuration beside it looks for them",
    body: r#"while [ $# -gt 0 ]; do
    [ "$1" != -d ] || echo "/etc/letsencrypt/live/$2"
    shift
done"#,
};

pub(crate) const PIP: StandIn = StandIn {
    name: "PIP",
    command: "pip",
    because: "it installs from the network",
    checked: "the package and its version are those of .ci/run",
    body: r#"[ "$1" = install ] && grep -q "=$2\$" "$source/.ci/run""#,
};

/// Writes a line for each call into `$calls`: the folder seen from `$here`, and the arguments.
pub(crate) const CARGO: StandIn = StandIn {
    name: "CARGO",
    command: "cargo",
    because: "it builds for minutes what the tests have built in another profile, measures for half an hour, or installs from the network",
    checked: "cargo_lines.rs looks for its packages, targets, profiles, features and tests, and parses what programs and benches are given",
    body: r#"local folder=${PWD#"$here"}
(IFS=$'\t'; printf '%s\t%s\n' "${folder#/}" "$*") >>"$calls""#,
};

pub(crate) const TESTS_RUN: StandIn = StandIn {
    name: "TESTS_RUN",
    command: "./tests/run",
    because: "it is what runs these tests",
    checked: "the script is there, and bash can read it",
    body: r#"[ -x "$source/tests/run" ] && bash -n "$source/tests/run""#,
};

pub(crate) const TESTS_ROTATIONS: StandIn = StandIn {
    name: "TESTS_ROTATIONS",
    command: "./tests/rotations",
    because: "it runs a test of this program, rotations::every_rotation_goes_without_a_failed_request, with other programs",
    checked: "the script tells what it takes, and bash can read it",
    body: r#"bash -n "$source/tests/rotations" && "$source/tests/rotations" --help | grep -q -- --update-page"#,
};

pub(crate) const TESTS_MUTANTS: StandIn = StandIn {
    name: "TESTS_MUTANTS",
    command: "tests/mutants",
    because: "it runs the tests of a package hundreds of times, each time with another mistake in it",
    checked: "Python can read the script, and what cargo-mutants gets of its arguments is there",
    body: r#"python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' "$source/tests/mutants"
words=mutants
while [ "$1" != -- ]; do
    if [ "$1" = --only ]; then shift 2; else words+=$'\t'$1; shift; fi
done
printf '\t%s\n' "$words" >>"$calls""#,
};
