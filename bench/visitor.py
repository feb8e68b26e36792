"""A visitor of the app without a browser: a websocket client that speaks Streamlit's protocol as its front end does.

It keeps the address, the elements of the page and the messages that the server need not send again, and runs the
fragments that ask to be run every second. It draws nothing: the times are the server's.
"""

import asyncio
import time
from dataclasses import dataclass, field

from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection

REMEMBERED = 2  # runs that the front end keeps a large message for
DONE = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)


class Refused(Exception):
    """The page showed an error, or broke."""


@dataclass
class Visitor:
    """One tab. `elements` by their place in the page, each with the fragment that drew it."""

    socket: ClientConnection
    patience: float  # seconds for one answer
    pages: dict[str, str] = field(default_factory=dict)
    page: str = ""
    query: str = ""
    elements: dict[tuple[int, ...], tuple[Element, str]] = field(default_factory=dict)
    cached: dict[str, tuple[int, ForwardMsg]] = field(default_factory=dict)
    polls: dict[str, float] = field(default_factory=dict)
    runs: int = 0

    async def open(self, page: str = "", query: str = "") -> float:
        """Go to a page by the menu or a link; seconds until it is drawn."""
        self.page, self.query = self.pages.get(page, ""), query
        return await self.ask(BackMsg())

    async def press(self, element: str, fragment: str, **value: object) -> float:
        """Give a widget a value; seconds until all is drawn anew."""
        message = BackMsg()
        states = message.rerun_script.widget_states.widgets
        state = states.add(id=element)
        for name, content in value.items():
            if isinstance(content, list):
                getattr(state, name).data.extend(content)
            else:
                setattr(state, name, content)
        message.rerun_script.fragment_id = fragment
        return await self.ask(message)

    async def think(self, seconds: float) -> list[float]:
        """Look at the page; how long each run took that it asks for by itself meanwhile."""
        end, took = time.monotonic() + seconds, []
        while (left := end - time.monotonic()) > 0:
            wait = min([left, *self.polls.values()])
            await asyncio.sleep(wait)
            for fragment in [name for name, every in self.polls.items() if every <= wait]:
                if fragment not in self.polls:  # the run before it drew the whole page anew
                    continue
                message = BackMsg()
                message.rerun_script.fragment_id, message.rerun_script.is_auto_rerun = fragment, True
                took.append(await self.ask(message))
        return took

    async def settle(self) -> float:
        """Wait until nothing on the page asks to be run again; seconds."""
        start = time.perf_counter()
        while self.polls:
            await self.think(1.5 * max(self.polls.values()))
        return time.perf_counter() - start

    async def ask(self, message: BackMsg) -> float:
        """Have the script run, and take all that it draws; Refused where that is an error."""
        asked, start = message.rerun_script, time.perf_counter()
        asked.query_string, asked.page_script_hash = self.query, self.page
        asked.cached_message_hashes.extend(self.cached)
        await self.socket.send(message.SerializeToString())
        async with asyncio.timeout(self.patience):
            while await self.take() not in DONE:
                pass
        took = time.perf_counter() - start
        self.runs += 1
        self.cached = {key: kept for key, kept in self.cached.items() if kept[0] + REMEMBERED >= self.runs}
        for element, _ in self.elements.values():
            if element.HasField("exception"):
                raise Refused(f"{element.exception.type}: {element.exception.message}"[:200])
            if element.HasField("alert") and element.alert.format == Alert.ERROR:
                raise Refused(element.alert.body[:200])
        return took

    async def take(self) -> int | None:
        """The next message of the server; how the run ended, if it says so."""
        message = ForwardMsg()
        message.ParseFromString(await self.socket.recv())
        if message.HasField("ref_hash"):
            place = list(message.metadata.delta_path)
            message = self.cached[message.ref_hash][1]
            self.cached[message.hash] = self.runs, message
            del message.metadata.delta_path[:]
            message.metadata.delta_path.extend(place)
        kind = message.WhichOneof("type")
        if kind == "script_finished":
            if message.script_finished == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
                raise Refused("The script does not compile.")
            return message.script_finished
        if kind == "new_session":
            self.begin(message)
        elif kind == "delta":
            self.draw(message)
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "auto_rerun":
            self.polls[message.auto_rerun.fragment_id] = message.auto_rerun.interval
        elif kind == "stop_auto_rerun":
            for fragment in message.stop_auto_rerun.fragment_ids:
                self.polls.pop(fragment, None)
        elif kind == "navigation":
            self.pages = {
                page.url_pathname or page.page_name: page.page_script_hash for page in message.navigation.app_pages
            }
            self.page = message.navigation.page_script_hash
        return None

    def begin(self, message: ForwardMsg) -> None:
        """A run begins: one of the whole page forgets what was drawn."""
        if not message.metadata.run.fragment_ids:
            self.elements, self.polls = {}, {}

    def draw(self, message: ForwardMsg) -> None:
        if message.metadata.cacheable:
            self.cached[message.hash] = self.runs, message
        place = tuple(message.metadata.delta_path)
        if message.delta.WhichOneof("type") == "new_element":
            self.elements[place] = message.delta.new_element, message.delta.fragment_id

    def find(self, kind: str, end: str) -> tuple[Element, str] | None:
        """The widget of a kind whose id ends so, as its key makes it, and its fragment."""
        for element, fragment in self.elements.values():
            if element.WhichOneof("type") == kind and getattr(element, kind).id.endswith(end):
                return getattr(element, kind), fragment
        return None
