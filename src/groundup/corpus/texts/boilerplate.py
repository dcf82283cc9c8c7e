"""Lines that a web page, a mail program or a printed page adds to a text: notices, buttons, page numbers.

Only whole short lines go, by a short list of wordings; a person's sentence that speaks of cookies stays."""

import re

_LONGEST = 240  # characters

_WEB = {
    "text/html",
    "application/xhtml+xml",
    "message/rfc822",
    "application/mbox",
    "application/vnd.ms-outlook",
    "application/atom+xml",
    "application/rss+xml",
}
# Lines are compared in lower case; a ".{0,80}" bounds what a notice may add, and with it the time spent on a line.
_PURPOSE = r"(?:experience|website|web site|site|service|services|content|traffic|functionality|browsing)"
_NOTICES = re.compile(
    "|".join(
        (
            r"please (?:enable|turn on) javascript(?: and cookies)?"
            r"(?:[.!]| (?:in|on) your (?:web )?browser.{0,80}| to .{0,80})?",
            r"enable javascript (?:in your (?:web )?browser.{0,60}|to (?:view|use|see|run) this \w+[.!]?)",
            r"you (?:need|have|must) (?:to )?enable javascript (?:to (?:run|view|use) this|in your) .{0,40}",
            r"javascript (?:is|seems to be|appears to be|must be) (?:currently )?"
            r"(?:disabled|turned off|not enabled|enabled) (?:in|on) your (?:web )?browser.{0,80}",
            r"this (?:site|website|page|app) (?:requires|needs|works best with) javascript(?: to .{0,40})?[.!]?",
            r"(?:your|this) browser does(?: not|n't) support"
            r" (?:javascript|html5|iframes|frames|the \w+ (?:tag|element))[.!]?",
            rf"(?:this|our) (?:web ?)?site uses cookies(?: (?:to|in order to) \w+ [^,;]{{0,60}}\b{_PURPOSE})?\.?"
            r"(?: by (?:continuing|using|browsing|clicking).{0,120})?"
            r"(?: (?:learn more|find out more|read more|ok|accept)[.!]?){0,2}",
            r"by (?:continuing|using|browsing).{0,80} you (?:agree|consent) to (?:our|the) use of cookies[.!]?",
            r"(?:(?:copyright|\(c\)|©|®).{0,120}?)?all rights reserved(?: worldwide)?[.!]?",
        )
    )
)
# Of these words, as they are spelled in them, each of the notices has one: most texts have none, and no notices.
_WORDS = (
    "avascript",
    "avaScript",
    "ookies",
    "ights reserved",
    "ights Reserved",
    "IGHTS RESERVED",
    "rowser does",
)
_PAGE = re.compile(
    r"[-–—] ?\d{1,4} ?[-–—]|\d{1,4} ?\| ?page"
    r"|\[?(?:page|seite|página|pagina) \d{1,4} ?(?:of|/|von|de|di|sur) ?\d{1,4}\]?"
)
_PAGE_LONGEST = 24  # characters
_PAGE_ENDS = frozenset("0123456789-–—]eE")
_SITES = r"(?:facebook|twitter|x|linkedin|pinterest|reddit|whatsapp|instagram|youtube|telegram|e-?mail)"
_MAKERS = r"(?:wordpress|drupal|joomla|blogger|phpbb|mediawiki|discourse|ghost|shopify|squarespace|wix)"
_WEB_NOTICES = re.compile(
    "|".join(
        (
            rf"we (?:and our partners )?use cookies .{{0,160}}\b{_PURPOSE}\b.{{0,60}}",
            r"(?:©|\(c\)|copyright (?:©|\(c\))) ?\d{4}.{0,60}",
            r"(?:page|seite|página|pagina) \d{1,4}",
            r"(?:skip|jump) to (?:main )?(?:content|navigation|search)",
            rf"(?:share|tweet|like us|pin|find us|follow us|share this(?: \w+)?) (?:on|via|with|to) {_SITES}",
            r"(?:share|print|e-?mail|bookmark) this(?: (?:page|article|post|story))?",
            r"(?:subscribe|sign up)(?: (?:now|today|here))?"
            r"(?: (?:to|for) (?:our|the) (?:free )?(?:newsletter|mailing list|blog))?[.!]?",
            r"sent from my (?:iphone|ipad|phone|mobile|mobile device|android|samsung.{0,20}|galaxy.{0,20})\.?",
            r"get outlook for (?:ios|android)",
            r"(?:view|read|open) this (?:e-?mail|message|newsletter) in (?:your|a) (?:web )?browser\.?",
            r"(?:to unsubscribe|if you (?:no longer wish|don't want|do not want) to receive).{0,140}",
            r"(?:you are|you're) receiving this (?:e-?mail|message|newsletter) because .{0,140}",
            rf"(?:proudly )?powered by {_MAKERS}.{{0,20}}",
        )
    )
)
_BUTTONS = {
    "share", "tweet", "subscribe", "unsubscribe", "advertisement", "advertisements", "sponsored content", "log in",
    "login", "sign in", "sign up", "log out", "create account", "create an account", "my account",
    "toggle navigation", "toggle menu", "main menu", "close menu", "open menu", "skip navigation", "skip links",
    "read more", "show more", "view more", "load more", "see more", "continue reading", "click to share",
    "back to top", "return to top", "go to top", "top of page", "scroll to top", "leave a comment", "leave a reply",
    "post a comment", "add a comment", "no comments", "no comments yet", "comments are closed", "reply to this",
    "related articles", "related posts", "recent posts", "recent comments", "you may also like", "follow us",
    "like this:", "loading...", "loading…", "privacy policy", "cookie policy", "terms of service", "terms of use",
    "terms and conditions", "terms & conditions", "cookie settings", "manage cookies", "accept cookies",
    "accept all cookies", "accept all", "reject all", "contact us", "about us", "site map", "sitemap",
    "printer-friendly version", "print friendly",
}  # fmt: skip
_LINKS = {"home", "contact", "about", "help", "privacy", "terms", "cookies", "imprint", "search", "register", "faq"}
_EDGES = " \t>»›→<«‹←↑•·*#|[]"
_BETWEEN = re.compile(r"\s*[|·•]\s*")


def drop_boilerplate(text: str, media_type: str) -> tuple[str, int]:
    """The text without such lines, and how many characters that removed; web pages and mails lose more of them."""
    web = media_type in _WEB
    lines = text.split("\n")
    if web or any(word in text for word in _WORDS):
        kept = [
            line for line in lines if not 0 < len(line) <= _LONGEST or not _is_boilerplate(line.strip().lower(), web)
        ]
    else:
        kept = [line for line in lines if not 0 < len(line) <= _PAGE_LONGEST or not _is_page_number(line)]
    if len(kept) == len(lines):
        return text, 0
    result = "\n".join(kept)
    return result, len(text) - len(result)


def _is_page_number(line: str) -> bool:
    line = line.strip()
    return line[-1:] in _PAGE_ENDS and _PAGE.fullmatch(line.lower()) is not None


def _is_boilerplate(line: str, web: bool) -> bool:
    if _NOTICES.fullmatch(line) or (len(line) <= _PAGE_LONGEST and _PAGE.fullmatch(line)):
        return True
    if not web:
        return False
    line = line.strip(_EDGES)
    if line in _BUTTONS or _WEB_NOTICES.fullmatch(line):
        return True
    links = _BETWEEN.split(line) if "|" in line or "·" in line or "•" in line else ()
    return len(links) > 2 and all(link in _BUTTONS or link in _LINKS for link in links)
