"""The scenarios of the exhaustive search: who builds what, what the images declare, and what must come of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from packer_publisher.image import Image, ImageRef, Platform
from packer_publisher.labels import MARKER, MARKER_VALUE, OWNER
from packer_publisher.local.registry_switches import Switches
from packer_publisher.placement import Item, place
from packer_publisher.policy import BucketPolicy, BucketRule, Policy
from packer_publisher.report import Outcome
from tests.proof.invariants import DONE, Rules
from tests.proof.players import Actor, Scenario, Stage
from tests.proof.registry_states import Held
from tests.simulation.handlers import DEADLINE
from tests.simulation.world import T0, World, WorldCloud

POLICY = Policy(rules=(BucketRule("*", BucketPolicy(create_bucket=True)),))
QUIET = timedelta(hours=7)
BASE = "ami-base"


class Tags(dict[str, str]):
    """Tags that can be part of a state."""

    def __hash__(self) -> int:  # type: ignore[override]  # they are never changed
        return hash(frozenset(self.items()))


@dataclass(frozen=True)
class Team:
    """One build: an account's image of one component type, on AWS in several regions."""

    name: str
    platform: Platform
    owner: str
    component_type: str
    regions: tuple[str, ...]
    age: int = 0


AWS = Team("aws", Platform.AWS, "111111111111", "amazon-ebs", ("eu-west-1",), age=9)
AWS_BASE = replace(AWS, name="aws base", component_type="amazon-ebs.base", age=5)
AWS_WIDE = replace(AWS, regions=("eu-west-1", "us-east-1"))
AWS_SECOND = replace(AWS_BASE, name="second aws", owner="222222222222", age=7)
AWS_RIVAL = replace(AWS_SECOND, name="rival aws", component_type="amazon-ebs")
AZURE = Team("azure", Platform.AZURE, "sub-1", "azure-arm", ("westeurope",))
GOOGLE = Team("google", Platform.GCE, "project-1", "googlecompute", ("europe-west1-b",))

SWITCHES = (  # what the longer run finds out under, of all that is not known of HCP: what handlers can notice
    Switches(read_after_write="stale"),
    Switches(unset_to_done="refuse"),
    Switches(updates_after_done="accept", platform_resent_same="accept"),
    Switches(done_without_artifacts="refuse", labels_on_update="merge"),
)

STYLES = (
    "component types on all",
    "platforms on all",
    "the last image only",
    "component types on one image only",
    "mixed",
    "not at all",
)


OF_THREE = (*STYLES, "mixed, the last named as a platform only")
"""For two teams the last of these would name the first team alone, which then rightly waits for nobody."""


def declarations(style: str, teams: Sequence[Team]) -> dict[str, str]:
    """Return what the images of each team declare, by the team's name."""
    types = " ".join(team.component_type for team in teams)
    # A platform is there with its first whole build; where it has several, those are named.
    several = {team.platform for team in teams if sum(other.platform == team.platform for other in teams) > 1}
    names = {team.component_type if team.platform in several else str(team.platform) for team in teams}
    platforms = " ".join(sorted(names))
    match style:
        case "component types on all":
            return {team.name: types for team in teams}
        case "platforms on all":
            return {team.name: platforms for team in teams}
        case "the last image only":
            return {teams[-1].name: platforms}
        case "component types on one image only":
            return {teams[len(teams) // 2].name: types}
        case "mixed":
            return {team.name: platforms if number % 2 else types for number, team in enumerate(teams)}
        case "mixed, the last named as a platform only":
            most = " ".join(team.component_type for team in teams[:-1])
            return {team.name: platforms if number == 1 else most for number, team in enumerate(teams)}
        case "not at all":
            return {}
        case _:
            raise ValueError(style)


class Cast:
    """The images of some teams in a world, with the handlers, stages and rules made from them."""

    def __init__(self, teams: Sequence[Team], style: str, sources: Mapping[str, str] | None = None) -> None:
        self.teams = tuple(teams)
        self.sources = sources or {}
        self.declared = style != "not at all"
        self.world = World()
        said = declarations(style, teams)
        self.refs = {team.name: self._add(team, said.get(team.name, "")) for team in teams}

    def _add(self, team: Team, expects: str) -> list[ImageRef]:
        tags = Tags({"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "3f2a-77"})
        if team.component_type not in ("amazon-ebs", "azure-arm", "googlecompute"):
            tags["hcp-packer-component-type"] = team.component_type
        if expects and team.platform is Platform.GCE:
            expects = expects.replace(".", "__").replace(" ", "_")
        if expects:
            tags["hcp-packer-expects"] = expects
        if team.name in self.sources:
            tags["hcp-packer-source-image"] = self.sources[team.name]
        name = team.name.replace(" ", "-")
        return self.world.add(team.platform, team.owner, name, team.regions, tags, age=team.age)

    def item(self, ref: ImageRef) -> Item:
        """Return an image with its placement, as a handler has them when it begins."""
        placement = place(self.world.images[ref], POLICY)
        if placement is None:
            raise TypeError("an image without contract tags is nobody's")
        return Item(self.world.images[ref], placement)

    def event(self, team: Team, region: int = 0, *, since: int = 0, again: bool = False) -> Actor:
        """Return the handler of an image's event."""
        ref = self.refs[team.name][region]
        name = f"{team.name}{f' {ref.region}' if len(team.regions) > 1 else ''}{' again' if again else ''}"
        return Actor(name, (self.item(ref),), since)

    def sweep(self, teams: Iterable[Team], *, since: int = 0) -> Actor:
        """Return the sweep of one account over its builds."""
        teams = tuple(teams)
        items = [self.item(ref) for team in teams for ref in self.refs[team.name]]
        return Actor(f"sweep of {teams[0].owner}", tuple(sorted(items, key=_created)), since)

    def sweeps(self, since: int) -> tuple[Actor, ...]:
        """Return a sweep of each account."""
        owners = dict.fromkeys((team.platform, team.owner) for team in self.teams)
        return tuple(
            self.sweep((team for team in self.teams if (team.platform, team.owner) == owner), since=since)
            for owner in owners
        )

    def gathered(self) -> dict[str, Image]:
        """Return what looks at the cloud answer now, by the image that they begin from."""
        found = {}
        for ref in self.world.images:
            item = self.item(ref)
            if item.image.whole is None:
                cloud = WorldCloud(self.world, ref.platform)
                found[ref.identifier] = cloud.gather(item.image, item.placement, DEADLINE)
        return found

    def reference(self) -> dict[str, tuple[Held, ...]]:
        """Return what the version must hold, taken from tags and clouds alone."""
        held: dict[str, tuple[Held, ...]] = {}
        for team in self.teams:
            images = [self.world.images[ref] for ref in self.refs[team.name]]
            artifacts = frozenset((a.region, a.external_identifier) for image in images for a in image.artifacts)
            labels = {MARKER: MARKER_VALUE, OWNER: f"{team.platform}:{team.owner}", **dict(images[0].identity)}
            expects = self.item(images[0].ref).placement.expects
            if expects:
                labels["expects"] = " ".join(sorted(expects, key=str.casefold))
            parent = "base v1 production" if self.sources.get(team.name) == BASE else ""
            platform = str(team.platform)
            wanted = Held(team.component_type, platform, DONE, artifacts, tuple(sorted(labels.items())), parent)
            held[team.component_type] = (*held.get(team.component_type, ()), wanted)
        return held

    def scenario(
        self,
        name: str,
        actors: Iterable[Actor],
        *,
        stages: tuple[Stage, ...] = (),
        allowed: Iterable[Outcome] = (),
        late: bool = False,
        bucket_exists: bool = True,
    ) -> Scenario:
        """Return the scenario of these handlers, ended by quiet time and a sweep of each account.

        With ``late`` the quiet time may have passed before.
        """
        stages = stages or (Stage("it begins", T0, self.gathered()),)
        last = len(stages)
        now = stages[-1].now + QUIET
        quiet = Stage("quiet time passes, then each account sweeps", now, self.gathered(), comes="over")
        rules = Rules(
            images=tuple(self.item(ref) for ref in self.world.images),
            reference=self.reference(),
            complete_by=last - 1 if self.declared and not late else last,
            open_until=1 if late else last,
            allowed=frozenset(allowed),
            late=late,
        )
        base = BASE if self.sources else ""
        players, times = (*actors, *self.sweeps(last)), (*stages, quiet)
        return Scenario(name, players, times, rules, bucket_exists=bucket_exists, base=base)


def three_clouds(style: str, *, bucket_exists: bool = True) -> Scenario:
    """Return three concurrent handlers."""
    cast = Cast((AWS, AZURE, GOOGLE), style)
    where = "" if bucket_exists else ", no bucket yet"
    name = f"three clouds{where}: {style}"
    return cast.scenario(name, [cast.event(team) for team in cast.teams], bucket_exists=bucket_exists)


def duplicates(teams: Sequence[Team], style: str, repeated: int) -> Scenario:
    """Return the handlers of these teams, with second deliveries of the first of them."""
    cast = Cast(teams, style)
    actors = [cast.event(team) for team in teams] + [cast.event(team, again=True) for team in teams[:repeated]]
    return cast.scenario(f"{len(teams)} clouds, {repeated} delivered twice: {style}", actors)


def with_parents(teams: Sequence[Team], style: str, repeated: int) -> Scenario:
    """Return handlers whose images say what they were built from: of AWS a registered image, of Google a vendor's."""
    cast = Cast(teams, style, {AWS.name: BASE, GOOGLE.name: "vendor"})
    actors = [cast.event(team) for team in teams] + [cast.event(team, again=True) for team in teams[:repeated]]
    return cast.scenario(f"{len(teams)} clouds with parents, {repeated} delivered twice: {style}", actors)


def sweep_among(style: str) -> Scenario:
    """Return an account with two builds whose sweep runs beside its events, and another cloud."""
    cast = Cast((AWS, AWS_BASE, GOOGLE), style)
    actors = [cast.event(AWS), cast.event(GOOGLE), cast.sweep((AWS, AWS_BASE))]
    return cast.scenario(f"a sweep of two builds among two events: {style}", actors)


def two_accounts(style: str) -> Scenario:
    """Return two AWS accounts and another cloud."""
    cast = Cast((AWS, AWS_SECOND, GOOGLE), style)
    return cast.scenario(f"two AWS accounts: {style}", [cast.event(team) for team in cast.teams])


def contested(style: str) -> Scenario:
    """Return two AWS accounts that claim the same component type, and another cloud."""
    cast = Cast((AWS, AWS_RIVAL, GOOGLE), style)
    actors = [cast.event(team) for team in cast.teams]
    allowed = (Outcome.CONFLICT, Outcome.LATE)
    return cast.scenario(f"one component type from two accounts: {style}", actors, allowed=allowed)


def late_region(style: str) -> Scenario:
    """Return an AWS build whose second region is tagged at any moment, and another cloud."""
    cast = Cast((AWS_WIDE, GOOGLE), style)
    _, america = cast.refs[AWS.name]
    tags: Mapping[str, str] = cast.world.images[america].tags
    cast.world.tag(america, Tags())
    before = _gathered_of_tagged(cast, america)
    cast.world.tag(america, tags)
    stages = (Stage("one region is tagged", T0, before), Stage("the other is tagged", T0, cast.gathered()))
    actors = [cast.event(AWS_WIDE), cast.event(GOOGLE), cast.event(AWS_WIDE, 1, since=1)]
    return cast.scenario(f"the second region is tagged later: {style}", actors, stages=stages)


def sweep_beside(style: str) -> Scenario:
    """Return an account with two builds whose sweep runs beside both events and that of another cloud."""
    cast = Cast((AWS, AWS_BASE, GOOGLE), style)
    actors = [*(cast.event(team) for team in cast.teams), cast.sweep((AWS, AWS_BASE))]
    return cast.scenario(f"a sweep of two builds beside three events: {style}", actors)


def after_quiet(style: str) -> Scenario:
    """Return two clouds of which either may come only after a quiet time, in which the first one sweeps."""
    cast = Cast((AWS, GOOGLE), style)
    stages = (
        Stage("it begins", T0, cast.gathered()),
        Stage("quiet time passes with nobody at work", T0 + QUIET, cast.gathered(), comes="idle"),
    )
    actors = [*(cast.event(team) for team in cast.teams), cast.sweep((AWS,), since=1)]
    name = f"quiet time passes before all have come: {style}"
    return cast.scenario(name, actors, stages=stages, allowed=(Outcome.LATE,), late=True)


def declared_later(teams: Sequence[Team], style: str) -> Scenario:
    """Return clouds of which the first, AWS, declares only when its image is tagged again, at any moment."""
    cast = Cast(teams, "not at all")
    before = [cast.event(team) for team in cast.teams]
    (ref,) = cast.refs[AWS.name]
    undeclared = Stage("nothing is declared", T0, cast.gathered())
    expects = declarations(style, cast.teams)[AWS.name]
    cast.world.tag(ref, Tags({**cast.world.images[ref].tags, "hcp-packer-expects": expects}))
    cast.declared = True
    again = replace(cast.event(AWS, since=1), name="aws, declaring")
    retagged = Stage("the first image is tagged with what is expected", T0, cast.gathered())
    return cast.scenario(
        f"{len(teams)} clouds, declared later: {style}", [*before, again], stages=(undeclared, retagged)
    )


def _gathered_of_tagged(cast: Cast, untagged: ImageRef) -> dict[str, Image]:
    found = {}
    for ref in cast.world.images:
        if ref != untagged and cast.world.images[ref].whole is None:
            item = cast.item(ref)
            found[ref.identifier] = WorldCloud(cast.world, ref.platform).gather(item.image, item.placement, DEADLINE)
    return found


def _created(item: Item) -> tuple[float, str]:
    return (item.image.created_at.timestamp(), item.image.ref.identifier)


def normal() -> list[Scenario]:
    """Return what the normal run explores."""
    return [
        *(replace(three_clouds(style), naming="by creation") for style in OF_THREE),
        *(three_clouds(style, bucket_exists=False) for style in OF_THREE),
        *(duplicates((AWS, GOOGLE), style, 2) for style in STYLES),
        *(with_parents((AWS, GOOGLE), style, 1) for style in STYLES[:2]),
        *(sweep_among(style) for style in OF_THREE),
        *(two_accounts(style) for style in OF_THREE),
        # The image that is turned away declares for nobody, so the one that declares must be another's.
        *(contested(style) for style in STYLES if style != "component types on one image only"),
        *(late_region(style) for style in STYLES),
        *(after_quiet(style) for style in OF_THREE),  # where what comes late is late, not lost
        *(declared_later((AWS, GOOGLE), style) for style in STYLES[:2]),
    ]


def longer() -> list[Scenario]:
    """Return what the longer run explores besides: a fourth handler for three clouds, and other registries."""
    return [
        *(duplicates((AWS, AZURE, GOOGLE), style, 1) for style in OF_THREE),
        *(sweep_beside(style) for style in OF_THREE),
        *(declared_later((AWS, AZURE, GOOGLE), style) for style in STYLES[:2]),
        *(replace(two_accounts(style), naming="by creation") for style in OF_THREE),
        *(_under(switches, three_clouds(style)) for switches in SWITCHES for style in OF_THREE),
        *(with_parents((AWS, GOOGLE), style, 2) for style in STYLES[:2]),
        with_parents((AWS, AZURE, GOOGLE), STYLES[0], 1),
        *(_under(switches, with_parents((AWS, GOOGLE), style, 1)) for switches in SWITCHES for style in STYLES[:2]),
    ]


def _under(switches: Switches, scenario: Scenario) -> Scenario:
    words = ", ".join(f"{name}={setting}" for name, setting in switches.deviations().items())
    return replace(scenario, name=f"{scenario.name} [{words}]", switches=switches)
