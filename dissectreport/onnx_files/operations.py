"""Operations that torch's exporter does not know, or for which ONNX Runtime has only single precision.

They are the normal distribution function and its inverse, by which uniform and truncated noise and class labels are
computed of normal numbers. The inverse is that of Giles, "Approximating the erfinv function" (2010): relative errors
of 1e-7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import Any

import torch

CENTRE = (
    *(2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087),
    *(-0.00125372503, -0.00417768164, 0.246640727, 1.50140941),
)
TAIL = (
    *(-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773),
    *(-0.0076224613, 0.00943887047, 1.00167406, 2.83297682),
)
"""Coefficients of the two polynomials, the highest power first."""
BETWEEN = 5.0
"""Where the second polynomial begins."""


def translations() -> Mapping[Any, Callable[..., Any]]:
    """By operation of torch, a function that builds it of operations of ONNX."""
    return {
        torch.ops.aten.special_ndtr.default: _normal_distribution,
        torch.ops.aten.special_ndtri.default: _inverse_normal_distribution,
    }


def _normal_distribution(x: Any) -> Any:
    from onnx import TensorProto
    from onnxscript import opset20 as op

    error = op.Erf(op.Mul(op.Cast(x, to=TensorProto.FLOAT), sqrt(0.5)))
    return op.CastLike(op.Mul(op.Add(error, 1.0), 0.5), x)


def _inverse_normal_distribution(p: Any) -> Any:
    from onnx import TensorProto
    from onnxscript import opset20 as op

    x = op.Cast(op.Sub(op.Add(p, p), op.CastLike(1.0, p)), to=TensorProto.FLOAT)
    w = op.Neg(op.Log(op.Mul(op.Sub(1.0, x), op.Add(1.0, x))))
    tail = _polynomial(TAIL, op.Sub(op.Sqrt(w), 3.0))
    factor = op.Where(op.Less(w, BETWEEN), _polynomial(CENTRE, op.Sub(w, 2.5)), tail)
    return op.CastLike(op.Mul(op.Mul(factor, x), sqrt(2)), p)


def _polynomial(coefficients: Sequence[float], x: Any) -> Any:
    """The value of a polynomial, its highest power first."""
    from onnxscript import opset20 as op

    value = op.Add(op.Mul(x, coefficients[0]), coefficients[1])
    for coefficient in coefficients[2:]:
        value = op.Add(op.Mul(value, x), coefficient)
    return value
