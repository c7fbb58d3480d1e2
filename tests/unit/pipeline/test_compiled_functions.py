"""A decorated function is, to all who look, the function that was decorated; generated or not."""

from __future__ import annotations

import asyncio
import functools
import inspect
import pickle
import pydoc
import traceback
import typing

import pytest

from seawall import Bulkhead, CircuitBreaker, Pipeline, RateLimiter, Retry
from seawall.testing import compiled, run_async, virtual_time

BY_REFERENCE = Pipeline("by reference", Retry(2), registry=None)
#: A function that the drivers run takes any arguments and hands them on, so these hold for generated ones.
GENERATED = pytest.mark.parametrize("pipeline", [True], indirect=True, ids=["generated"])


@BY_REFERENCE
def module_level(sku: str) -> str:
    return sku


@pytest.fixture(params=[True, False], ids=["generated", "driven"])
def pipeline(request):
    with compiled(request.param):
        yield Pipeline("p", Retry(1), CircuitBreaker(5), RateLimiter("1/hour", burst=9), Bulkhead(1), registry=None)


def counted(pipeline):
    """All that calls have left behind so far."""
    retry, breaker, limiter, bulkhead = pipeline.policies
    return (
        sum(pipeline.snapshot().counters.values()),
        dict(retry.snapshot().counters)["success"],
        breaker.snapshot().counters["requests.success"],
        9 - limiter.available(),
        bulkhead.snapshot().counters["requests.allowed"],
    )


def test_a_traceback_shows_the_lines_of_the_function_and_of_what_calls_it(pipeline):
    @pipeline
    def product(sku):
        raise ConnectionError(sku)

    with pytest.raises(ConnectionError) as caught:
        product("a")
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert (frames[-1].name, frames[-1].line) == ("product", "raise ConnectionError(sku)")
    assert all(frame.line for frame in frames), "a frame without its source"
    assert any(frame.filename != __file__ for frame in frames)


def test_what_describes_a_function_is_its_own(pipeline):
    def product(sku: str, /, many: int = 1, *rest: int, fresh: bool = False, **more: Undefined) -> list[str]:  # type: ignore[name-defined] # noqa: F821
        """The product."""
        return [sku]

    product.mark = object()  # type: ignore[attr-defined]
    protected = pipeline(product)
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__", "mark"):
        assert getattr(protected, name) == getattr(product, name), name
    assert protected.__annotations__["return"] == "list[str]"
    assert protected.__wrapped__ is product
    assert inspect.signature(protected) == inspect.signature(product)
    assert inspect.getsource(protected) == inspect.getsource(product)
    said = "".join(pydoc.plain(pydoc.render_doc(protected)).split())  # from Python 3.13 on in several lines
    assert "product(sku:'str',/,many:'int'=1,*rest:'int',fresh:'bool'=False,**more:'Undefined')" in said
    assert not inspect.iscoroutinefunction(protected)


def test_type_hints_that_are_texts_are_found_in_the_function_s_own_module(pipeline):
    @pipeline
    def product(sku: str, rule: functools.partial[int] | None = None) -> list[int]:
        return []

    hints = typing.get_type_hints(product)
    assert hints == {"sku": str, "rule": functools.partial[int] | None, "return": list[int]}


def test_defaults_are_the_same_objects_in_every_call(pipeline):
    kept: list[int] = []

    @pipeline
    def add(number, to=kept, *, also=kept):
        to.append(number)
        return to, also

    assert add(1) == ([1], [1])
    assert add(2)[0] is kept
    assert add(3)[1] is kept
    assert add(4, to=[], also=None) == ([4], None)
    assert kept == [1, 2, 3]


@GENERATED
def test_defaults_can_be_read_where_they_are_read_of_any_function(pipeline):
    @pipeline
    def add(number=1, *, to="b"):
        return number

    assert (add.__defaults__, add.__kwdefaults__) == ((1,), {"to": "b"})


def test_every_kind_of_parameter_gets_what_was_given_for_it(pipeline):
    @pipeline
    def all_kinds(a, b=2, /, c=3, *rest, d, e=5, **more):
        return a, b, c, rest, d, e, more

    assert all_kinds(1, d=4) == (1, 2, 3, (), 4, 5, {})
    assert all_kinds(1, 0, 0, 7, 8, d=4, e=0, a=1, self=2, fn=3) == (
        1, 0, 0, (7, 8), 4, 0, {"a": 1, "self": 2, "fn": 3},
    )  # fmt: skip
    assert pipeline(lambda *args, **kwargs: (args, kwargs))(1, args=2, kwargs=3) == ((1,), {"args": 2, "kwargs": 3})


NAMES = ["self", "cls", "fn", "_fn", "call", "_call", "args", "kwargs", "_e", "_1", "__x", "type", "len", "time",
         "Exception", "BaseException", "isinstance", "pipeline", "error", "value", "now", "lock", "run", "default",
         "print", "protected", "_", "__", "__name__", "match", "permit", "_lock", "_now", "_run", "_value"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_may_have_any_name(pipeline, name):
    space: dict = {}
    exec(f"def product({name}, *, other=1): return {name}, other\nasync def aproduct({name}): return {name}", space)
    product, aproduct = pipeline(space["product"]), pipeline(space["aproduct"])
    assert product(7) == product(**{name: 7}) == (7, 1)
    assert run_async(aproduct(8)) == run_async(aproduct(**{name: 8})) == 8


def test_names_that_clash_may_all_be_there_at_once(pipeline):
    space: dict = {}
    exec(f"def product({', '.join(NAMES)}, *rest, **more): return [{', '.join(NAMES)}], rest, more", space)
    numbers = list(range(len(NAMES)))
    assert pipeline(space["product"])(*numbers, "r", more="m") == (numbers, ("r",), {"more": "m"})


@GENERATED
@pytest.mark.parametrize(
    "args, kwargs",
    [((), {}), ((1, 2, 3), {}), ((1,), {"unknown": 2}), ((1,), {"sku": 1}), ((1,), {"many": 1, "fresh": 2, "no": 3})],
)
def test_wrong_arguments_are_a_type_error_of_the_function_before_anything_is_counted(pipeline, args, kwargs):
    def product(sku, many=1, *, fresh=False):
        return sku

    protected, before = pipeline(product), counted(pipeline)
    with pytest.raises(TypeError) as own:
        product(*args, **kwargs)
    with pytest.raises(TypeError) as caught:
        protected(*args, **kwargs)
    assert str(caught.value) == str(own.value)
    assert counted(pipeline) == before
    assert pipeline.policies[2].snapshot().counters["requests.allowed"] == 0


@GENERATED
def test_wrong_arguments_of_a_coroutine_function_are_an_error_where_it_is_called(pipeline):
    @pipeline
    async def product(sku):
        return sku

    before = counted(pipeline)
    with pytest.raises(TypeError, match=r"product\(\) missing 1 required positional argument: 'sku'"):
        product().close()
    assert counted(pipeline) == before


def test_a_module_level_function_is_pickled_by_reference():
    assert pickle.loads(pickle.dumps(module_level)) is module_level
    assert module_level("a") == "a"


def test_methods_of_every_kind_keep_their_owner(pipeline):
    class Shop:
        @pipeline
        def buy(self, sku, /, *, many=1):
            return self, sku, many

        @classmethod
        @pipeline
        def make(cls, *args):
            return cls, args

        @staticmethod
        @pipeline
        def price(sku):
            return sku

        @pipeline
        async def ask(self, sku=3):
            return self, sku

        @property
        @pipeline
        def size(self):
            return 4

        @pipeline
        def __mangled(self, __sku):  # noqa: PYI063 - Python gives it another name inside a class
            return __sku

        def mangled(self, sku):
            return self.__mangled(sku)

    shop = Shop()
    assert shop.buy("a", many=2) == Shop.buy(shop, "a", many=2) == (shop, "a", 2)
    assert shop.make(1) == Shop.make(1) == (Shop, (1,))
    assert shop.price(5) == 5
    assert run_async(shop.ask()) == (shop, 3)
    assert shop.size == 4
    assert str(inspect.signature(shop.buy)) == "(sku, /, *, many=1)"
    assert Shop.buy.__qualname__.endswith("Shop.buy")
    assert pipeline.snapshot().counters["calls.success"] == 7


def test_a_closure_sees_what_it_closes_over_change(pipeline):
    price = 1

    @pipeline
    def read():
        return price

    assert read() == 1
    price = 2
    assert read() == 2
    assert [pipeline(lambda number=number: number)() for number in range(3)] == [0, 1, 2]


def test_decorators_may_stand_on_both_sides(pipeline):
    outer = Pipeline("outer", Retry(3), registry=None)
    runs = []

    def shouting(fn):
        @functools.wraps(fn)
        def shout(*args):
            return fn(*args).upper()

        return shout

    @functools.cache
    @outer
    @pipeline
    @shouting
    def product(sku):
        runs.append(sku)
        return sku

    assert [product("a"), product("a")] == ["A", "A"]
    assert runs == ["a"]
    assert product.__name__ == "product"
    assert outer.snapshot().counters["calls.success"] == pipeline.snapshot().counters["calls.success"] == 1


def test_a_function_may_call_itself_through_its_protection():
    pipeline = Pipeline("deep", Bulkhead(6), registry=None)

    @pipeline
    def factorial(number):
        return number * factorial(number - 1) if number else 1

    assert factorial(5) == 120
    assert pipeline.snapshot().counters["calls.success"] == 6
    assert pipeline.policies[0].snapshot().gauges["in_flight"] == 0


def test_a_coroutine_function_stays_one(pipeline):
    @pipeline
    async def product(sku: str, *, fresh=False) -> str:
        """The product."""
        return sku

    assert inspect.iscoroutinefunction(product)
    assert (product.__name__, product.__doc__) == ("product", "The product.")
    assert str(inspect.signature(product)) == "(sku: 'str', *, fresh=False) -> 'str'"
    assert run_async(product("a", fresh=True)) == "a"


def test_a_plain_function_that_gives_an_awaitable_is_awaited_under_protection(pipeline):
    async def later(sku):
        return sku

    @pipeline
    def product(sku):
        return later(sku)

    assert not inspect.iscoroutinefunction(product)
    for number in range(2):
        assert run_async(awaited(product(number))) == number
    assert counted(pipeline)[0] == counted(pipeline)[2] == 2


async def awaited(value):
    return await value


def test_what_is_no_function_is_protected_too(pipeline):
    class Client:
        def __call__(self, sku, *, fresh=False):
            return sku, fresh

    def add(a, b, *, c=0):
        return a, b, c

    assert pipeline(Client())("a", fresh=True) == ("a", True)
    assert pipeline(functools.partial(add, 1, c=3))(2) == (1, 2, 3)
    assert pipeline(dict.get)({"a": 1}, "a") == 1
    assert pipeline(max)(1, 2, key=lambda number: -number) == 1  # has no signature
    assert pipeline(len)("abc") == 3
    assert pipeline("abc".join)(["1", "2"]) == "1abc2"
    assert pipeline(int)("7") == 7
    assert counted(pipeline)[0] == 7


def test_a_signature_that_a_function_claims_does_not_change_what_it_is_given(pipeline):
    def product(*args, **kwargs):
        return args, kwargs

    product.__signature__ = inspect.Signature([inspect.Parameter("sku", inspect.Parameter.KEYWORD_ONLY)])  # type: ignore[attr-defined]
    protected = pipeline(product)
    assert protected(1, many=2) == ((1,), {"many": 2})
    assert inspect.signature(protected) == inspect.signature(product)


def test_an_argument_that_cannot_be_shown_or_compared_goes_through(pipeline):
    class Odd:
        __hash__ = None  # type: ignore[assignment]

        def __repr__(self):
            raise AssertionError("arguments are secrets")

        __eq__ = __bool__ = __repr__  # type: ignore[assignment]

    odd = Odd()

    @pipeline
    def product(sku=odd, *, also=odd):
        return sku

    assert product() is odd
    assert product(sku=odd, also=odd) is odd


def test_what_a_coroutine_returns_is_not_awaited_again_however_the_call_went(pipeline):
    """Slow calls, and those that failed first, go through the drivers with their first attempt made."""

    @pipeline
    async def start(wait):
        await asyncio.sleep(wait)  # noqa: TID251 - on the virtual clock
        return asyncio.get_running_loop().create_future()

    async def main():
        for wait in (0.0, 0.0, 2.0, 0.0):
            assert isinstance(await start(wait), asyncio.Future)

    with virtual_time():
        run_async(main())
