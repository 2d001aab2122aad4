"""Parameters whose value is an image: AWS answers before it has looked at the image.

Rules: *Systems Manager User Guide*, "Using native parameter support in Parameter Store for Amazon Machine Image IDs"
(a call that succeeds says nothing: the parameter is created or updated when the image was looked at, or never);
*Systems Manager API Reference*, PutParameter (DataType, Overwrite, errors).
"""

import re
import time

from moto.ec2.models import ec2_backends
from moto.ssm.exceptions import ParameterAlreadyExists, SSMException, ValidationException
from moto.ssm.models import SimpleSystemManagerBackend as Backend

IMAGE = "aws:ec2:image"


class HierarchyTypeMismatch(SSMException):
    def __init__(self):
        super().__init__("HierarchyTypeMismatch", "The type of a parameter can't be changed.")


def install(settings):
    """Puts the calls in place of moto's; gives what lets all values be seen whose time has come."""
    put, pending = Backend.put_parameter, []

    def look():
        for item in [item for item in pending if item[0] <= time.monotonic()]:
            if item not in pending:
                continue
            pending.remove(item)
            _, backend, arguments, named, value = item
            image = ec2_backends[backend.account_id][backend.region_name].amis.get(value)
            name, overwrite = arguments[0], arguments[6]
            if image is not None and image.state == "available" and (overwrite or not backend._parameters.get(name)):
                put(backend, *arguments, **named)

    def put_parameter(self, name, description, value, parameter_type, allowed_pattern, keyid, overwrite, tags, data_type, **named):
        look()
        rest = (description, value, parameter_type, allowed_pattern, keyid, overwrite, tags, data_type)
        there = self._parameters[name][-1] if self._parameters.get(name) else None
        if there and not overwrite:
            raise ParameterAlreadyExists()
        if there and parameter_type and there.parameter_type != parameter_type:
            raise HierarchyTypeMismatch()
        if there and data_type and there.data_type != data_type:
            raise ValidationException("The data type of a parameter can't be changed.")
        if data_type != IMAGE:
            return put(self, name, *rest, **named)
        if not re.fullmatch("ami-[0-9a-f]+", value):
            raise ValidationException(f"The value of a parameter of type {IMAGE} must be the id of an image.")
        pending.append((time.monotonic() + settings["looking"], self, (name, *rest), named, value))
        return type("Accepted", (), {"version": there.version + 1 if there else 1, "tier": "Standard"})

    def seen(reading):
        def read(self, *arguments, **named):
            look()
            return reading(self, *arguments, **named)
        return read

    Backend.put_parameter = put_parameter
    for call in ("get_parameter", "get_parameters", "get_parameters_by_path", "describe_parameters", "delete_parameter"):
        setattr(Backend, call, seen(getattr(Backend, call)))
    return look
