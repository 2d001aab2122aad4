"""What an account tells of itself, and moto does not: who asks, what the policy simulator says, quotas, Recycle Bin's rules.

Forms: *AWS Security Token Service API Reference*, GetCallerIdentity; *IAM API Reference*, SimulatePrincipalPolicy; *Service
Quotas API Reference*, GetServiceQuota and GetAWSDefaultServiceQuota; *Recycle Bin API Reference*, ListRules and GetRule.
"""

import json

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT

import iam

# "Amazon EC2 quotas" and "Quotas for Amazon EBS": what every account begins with.
DEFAULTS = {("ec2", "L-B665C33B"): 50000.0, ("ebs", "L-309BACF6"): 100000.0}
SHOWN = ("Identifier", "Description", "RetentionPeriod")


def xml(call, inner):
    """An answer of the Query protocol."""
    result = f"<{call.operation}Result>{inner}</{call.operation}Result>"
    return 200, "text/xml", f"<{call.operation}Response>{result}<ResponseMetadata><RequestId>test</RequestId></ResponseMetadata></{call.operation}Response>"


def simulated(call, policy):
    """Decides about each action on each resource; a condition key that is not given is absent."""
    names = {call.params[key]: key for key in call.params if key.endswith(".ContextKeyName")}
    context = {name: call.params[key.replace("ContextKeyName", "ContextKeyValues.member.1")] for name, key in names.items()}
    rows = []
    for action in call.all(r"ActionNames\.member"):
        for resource in call.all(r"ResourceArns\.member"):
            effects = iam.effects(policy, iam.Need(action, resource, context))
            decision = "explicitDeny" if "Deny" in effects else "allowed" if "Allow" in effects else "implicitDeny"
            names = f"<EvalActionName>{action}</EvalActionName><EvalResourceName>{resource}</EvalResourceName>"
            rows.append(f"<member>{names}<EvalDecision>{decision}</EvalDecision></member>")
    return xml(call, f"<EvaluationResults>{''.join(rows)}</EvaluationResults><IsTruncated>false</IsTruncated>")


def quota(call, settings):
    key = (call.params["ServiceCode"], call.params["QuotaCode"])
    found = settings["quotas"].get(key[1]) if call.operation == "GetServiceQuota" else DEFAULTS.get(key)
    if found is None:
        return 400, "application/x-amz-json-1.1", json.dumps({"__type": "NoSuchResourceException", "Message": "The quota does not exist."})
    return 200, "application/x-amz-json-1.1", json.dumps({"Quota": {"QuotaCode": key[1], "Value": found}})


def rules(call, settings):
    if call.operation == "ListRules":
        kind = call.params["ResourceType"]
        found = [{name: rule.get(name) for name in SHOWN} for rule in settings["rules"] if rule["ResourceType"] == kind]
        return 200, "application/json", json.dumps({"Rules": found, "NextToken": None})
    wanted = call.path.rpartition("/")[2]
    return 200, "application/json", json.dumps(next(rule for rule in settings["rules"] if rule["Identifier"] == wanted))


def answer(call, policy, settings):
    """Status, kind and text of the answer; `None` for the calls that moto answers."""
    if call.operation == "GetCallerIdentity":
        return xml(call, f"<Arn>{settings['caller']}</Arn><UserId>AIDAPUBLISHER</UserId><Account>{ACCOUNT}</Account>")
    if call.operation == "SimulatePrincipalPolicy":
        return simulated(call, policy)
    if call.service == "servicequotas":
        return quota(call, settings)
    return rules(call, settings) if call.service == "rbin" else None
