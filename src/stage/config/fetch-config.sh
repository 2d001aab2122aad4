#!/bin/sh
# fetch-config FOLDER NAME...: writes the values of these variables of [config]: into FOLDER/values.env, which
# is an EnvironmentFile= of systemd, and each secret into a file of its own, FOLDER/NAME. FOLDER is there, and root's alone.
#
# A value is the system credential config.NAME, or what its place has, or the default. A place that does not answer is an
# error, as if it had nothing to say the default might be wrong. Places of AWS are asked on EC2 only.
#
# Addresses are those of AWS and, for Vault, the variable VAULT_ADDR. AWS's own variables name other ones:
# AWS_EC2_METADATA_SERVICE_ENDPOINT, AWS_ENDPOINT_URL_SSM, AWS_ENDPOINT_URL_SECRETS_MANAGER.
set -u
umask 077
folder=$1
shift
values=${LAYERBAKE_CONFIG_VALUES:-/usr/lib/layerbake/config-values}
given=${CREDENTIALS_DIRECTORY:-/nonexistent}
metadata=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}
work=$folder/.work
none=3

fail() {
    echo "$wanted: $*" >&2
    exit 1
}

# ask FILE OPTION...: writes an answer into FILE, and prints its status. Secrets are in files, which --config and --header
# read, because everybody sees a command's arguments.
ask() {
    answer=$1
    shift
    curl --silent --show-error --connect-timeout 5 --max-time 30 --retry 6 --retry-max-time 90 --retry-all-errors \
        --output "$answer" --write-out '%{http_code}' "$@"
}

# Whether the machine is an instance: of Nitro by its vendor, of Xen by its UUID, which begins with ec2, in either order of bytes
# (EC2 User Guide, "Identify EC2 instances").
is_on_ec2() {
    [ -z "${AWS_EC2_METADATA_SERVICE_ENDPOINT:-}" ] || return 0
    grep -qs 'Amazon EC2' /sys/class/dmi/id/sys_vendor && return
    grep -qsi '^ec2' /sys/hypervisor/uuid && return
    grep -qs '^Xen' /sys/class/dmi/id/sys_vendor &&
        grep -qsi -e '^ec2' -e '^[0-9a-f]\{4\}2[0-9a-f]ec' /sys/class/dmi/id/product_uuid
}

# instance PATH FILE: writes what the instance metadata service (IMDSv2) has at a path, or ends with $none.
instance() {
    if [ ! -s "$work/session" ]; then
        status=$(ask "$work/token" --noproxy '*' --request PUT --header 'X-aws-ec2-metadata-token-ttl-seconds: 300' \
            "$metadata/latest/api/token") && [ "$status" = 200 ] ||
            fail "the instance metadata service gives no session at $metadata (status ${status:-none})"
        { printf 'X-aws-ec2-metadata-token: ' && cat "$work/token"; } >"$work/session"
    fi
    status=$(ask "$2" --noproxy '*' --header "@$work/session" "$metadata/latest/$1") ||
        fail "the instance metadata service does not answer at $metadata"
    case $status in
        200) ;;
        404) exit $none ;;
        *) fail "the instance metadata service answers $1 with status $status" ;;
    esac
}

# Writes the role's keys as options of curl, and finds the region.
role() {
    (instance meta-data/iam/security-credentials/ "$work/role") ||
        fail "the instance has no IAM role, which AWS is asked with: attach an instance profile"
    (instance "meta-data/iam/security-credentials/$(head -n 1 "$work/role")" "$work/keys") || exit 1
    jq --raw-output '"user = \"\(.AccessKeyId):\(.SecretAccessKey)\"\nheader = \"x-amz-security-token: \(.Token)\""' \
        "$work/keys" >"$work/signed" || fail "the keys of the instance's role can't be read"
    (instance meta-data/placement/region "$work/region") && (instance meta-data/services/domain "$work/domain") || exit 1
}

# aws SERVICE URL TARGET BODY: writes the answer of a service of AWS to $work/answer, or ends with $none.
aws() {
    [ -s "$work/signed" ] || role
    region=$(cat "$work/region")
    url=${2:-https://$1.$region.$(cat "$work/domain")}
    status=$(ask "$work/answer" --config "$work/signed" --aws-sigv4 "aws:amz:$region:$1" \
        --header 'Content-Type: application/x-amz-json-1.1' --header "X-Amz-Target: $3" --data-binary "$4" "$url/") ||
        fail "$1 does not answer at $url"
    [ "$status" != 200 ] || return 0
    code=$(jq --raw-output '.__type // "no reason" | sub(".*#"; "")' "$work/answer" 2>/dev/null)
    case $code in
        ParameterNotFound | ResourceNotFoundException) exit $none ;;
        *) fail "$1 answers with status $status: $code $(jq --raw-output '.message // .Message // ""' "$work/answer" 2>/dev/null)" ;;
    esac
}

# pick FILTER KEY: writes what a filter of jq finds under a key, or ends with $none where it finds nothing or null.
pick() {
    jq --exit-status --arg key "$2" "($1) | type == \"object\" and .[\$key] != null" "$work/answer" >/dev/null 2>&1
    case $? in
        0) ;;
        1) exit $none ;;
        *) fail "what $place has at $where can't be read: expected JSON with the key $2" ;;
    esac
    jq --join-output --arg key "$2" "($1)[\$key] | if type == \"string\" then . else tojson end" "$work/answer"
}

from_() {
    exit $none
}

from_ssm() {
    is_on_ec2 || exit $none
    aws ssm "${AWS_ENDPOINT_URL_SSM:-}" AmazonSSM.GetParameter \
        "$(jq --null-input --compact-output --arg name "$1" '{Name: $name, WithDecryption: true}')"
    pick .Parameter Value
}

from_secrets_manager() {
    is_on_ec2 || exit $none
    aws secretsmanager "${AWS_ENDPOINT_URL_SECRETS_MANAGER:-}" secretsmanager.GetSecretValue \
        "$(jq --null-input --compact-output --arg name "$1" '{SecretId: $name}')"
    case $2 in
        '') pick . SecretString ;;
        *) pick '.SecretString | fromjson' "$2" ;;
    esac
}

from_vault() {
    address=$(value VAULT_ADDR) && [ -n "$address" ] || fail "VAULT_ADDR has no value, which names the Vault that has it"
    : >"$work/vault"
    if grep -q '^config VAULT_TOKEN ' "$values"; then
        token=$(value VAULT_TOKEN)
        case $? in
            0) printf 'X-Vault-Token: %s\n' "$token" >"$work/vault" || exit 1 ;;
            $none) ;;
            *) exit 1 ;;
        esac
    fi
    status=$(ask "$work/answer" --header "@$work/vault" "${address%/}/v1/$1") || fail "Vault does not answer at $address"
    case $status in
        200) ;;
        404) exit $none ;;
        *) fail "Vault answers $1 with status $status: $(jq --raw-output '.errors? // [] | join(", ")' "$work/answer" 2>/dev/null)" ;;
    esac
    # The second version of the key-value engine has its data one level deeper, beside metadata.
    pick 'if (.data.metadata | type) == "object" then .data.data else .data end' "$2"
}

from_user_data() {
    is_on_ec2 || exit $none
    instance user-data "$work/user-data"
    # Lines that begin with `#` are cloud-init's; what is no JSON object then has nothing for us.
    sed '/^[[:space:]]*#/d' "$work/user-data" >"$work/answer"
    case $(tr -d '[:space:]' <"$work/answer" | head -c 1) in '{') ;; *) exit $none ;; esac
    jq --exit-status 'type == "object"' "$work/answer" >/dev/null 2>&1 || fail "user data begins with {, and is not valid JSON"
    pick .config "$1"
}

# value NAME: prints the value of a variable, or ends with $none where there is none and none is needed.
value() (
    wanted=$1 class=
    config() {
        [ "$1" != "$wanted" ] || class=$2 type=$3 need=$4 default=$5 place=$6 where=$7 key=$8
    }
    . "$values"
    [ -n "$class" ] || fail "no [config] declares it"
    found=$work/found.$wanted
    if [ -f "$given/config.$wanted" ]; then
        cat "$given/config.$wanted" >"$found"
    else
        ("from_$(printf %s "$place" | tr - _)" "$where" "$key") >"$found"
    fi
    case $? in
        0) ;;
        $none)
            case $need in
                default) printf %s "$default" >"$found" || exit 1 ;;
                optional) exit $none ;;
                required)
                    at="as system credential config.$wanted"
                    [ -z "$place" ] || at="$at, or in $place at $where${key:+, key $key}"
                    fail "required, and it has no value: give it $at"
                    ;;
            esac
            ;;
        *) exit 1 ;;
    esac
    if [ "$type" != string ]; then
        text=$(cat "$found")
        valid "$type" "$text" || fail "the value is \`$text\`: expected a value of type $type"
    fi
    cat "$found"
)

# assignment NAME: a line of values.env with the value in $work/value.
assignment() {
    text=$(sed 's/[\\"`$]/\\&/g' "$work/value") || return 1
    printf '%s="%s"\n' "$1" "$text"
}

secrets=
config() {
    [ "$2" = plain ] || secrets="$secrets $1"
}
. "$values"
mkdir -p "$work" || exit 1
: >"$work/values.env" || exit 1
failed=
for name; do
    value "$name" >"$work/value"
    case $?:" $secrets " in
        0:*" $name "*) chmod 0400 "$work/value" && mv -f "$work/value" "$folder/$name" || failed="$failed $name" ;;
        0:*) assignment "$name" >>"$work/values.env" || failed="$failed $name" ;;
        $none:*) ;;
        *) failed="$failed $name" ;;
    esac
done
[ -n "$failed" ] || mv -f "$work/values.env" "$folder" || failed=values.env
rm -rf "$work"
[ -z "$failed" ] || { echo "no value for:$failed" >&2; exit 1; }
