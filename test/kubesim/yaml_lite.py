"""Reads the part of YAML that kubeconfigs and simple manifests use: nested maps and lists, quoted scalars, flow collections, block text.

JSON is YAML, so it is tried first. Anchors, tags, multiple documents and complex keys are refused with the line number.
"""
import json
import re

_INT = re.compile(r'^[-+]?[0-9]+$')
_FLOAT = re.compile(r'^[-+]?[0-9]*\.[0-9]+([eE][-+]?[0-9]+)?$')
_KEY = re.compile(r'''^("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#&*!|>%@`"'\[\]{},-][^#]*?|-[^\s#][^#]*?)\s*:(?:\s+(.*)|$)''')


class YamlError(ValueError):
    pass


def load(text):
    try:
        return json.loads(text)
    except ValueError:
        pass
    return _Parser(text).document()


def scalar(s):
    s = s.strip()
    if s[:1] == '"':
        return json.loads(s)
    if s[:1] == "'":
        return s[1:-1].replace("''", "'")
    if s in ('', '~', 'null', 'Null', 'NULL'):
        return None
    if s in ('true', 'True', 'TRUE'):
        return True
    if s in ('false', 'False', 'FALSE'):
        return False
    if _INT.match(s):
        return int(s)
    if _FLOAT.match(s):
        return float(s)
    return s


def _strip_comment(s):
    """Cuts a trailing comment that is not inside quotes."""
    quote = ''
    for i, ch in enumerate(s):
        if quote:
            if ch == quote and not (quote == '"' and s[i - 1] == '\\'):
                quote = ''
        elif ch in '"\'' and (i == 0 or s[i - 1] in ' [{,:-'):
            quote = ch
        elif ch == '#' and (i == 0 or s[i - 1] in ' \t'):
            return s[:i].rstrip()
    return s.rstrip()


class _Parser:
    def __init__(self, text):
        self.raw = text.split('\n')
        self.i = 0

    def fail(self, what):
        raise YamlError('line %d: %s' % (self.i + 1, what))

    def peek(self):
        """(indent, text) of the next line with content, or None."""
        while self.i < len(self.raw):
            line = self.raw[self.i].rstrip('\r')
            text = _strip_comment(line.strip())
            if text and not (text == '---' and line.startswith('---')) and not line.startswith('%'):
                if text == '...':
                    return None
                if '\t' in line[:len(line) - len(line.lstrip())]:
                    self.fail('a tab in the indentation')
                return len(line) - len(line.lstrip(' ')), text
            self.i += 1
        return None

    def document(self):
        out = self.node(0)
        if self.peek() is not None:
            self.fail('cannot read this')
        return out

    def node(self, least):
        head = self.peek()
        if head is None or head[0] < least:
            return None
        indent, text = head
        if text == '-' or text.startswith('- '):
            return self.sequence(indent)
        if _KEY.match(text) and text[0] not in '{[':
            return self.mapping(indent)
        self.i += 1
        return self.value(text, indent)

    def sequence(self, indent):
        out = []
        while True:
            head = self.peek()
            if head is None or head[0] != indent or not (head[1] == '-' or head[1].startswith('- ')):
                if head is not None and head[0] > indent:
                    self.fail('wrong indentation')
                return out
            rest = head[1][1:].strip()
            if not rest:
                self.i += 1
                out.append(self.node(indent + 1))
            elif rest[0] in '{["\'' and not _KEY.match(rest):
                self.i += 1
                out.append(self.value(rest, indent))
            elif rest.startswith('- ') or _KEY.match(rest):
                line = self.raw[self.i]            # "- a: b" is a map whose first line starts after the dash
                at = line.index('-')
                self.raw[self.i] = line[:at] + ' ' + line[at + 1:]
                out.append(self.node(indent + 1))
            else:
                self.i += 1
                out.append(self.value(rest, indent))

    def mapping(self, indent):
        out = {}
        while True:
            head = self.peek()
            if head is None or head[0] != indent:
                if head is not None and head[0] > indent:
                    self.fail('wrong indentation')
                return out
            m = _KEY.match(head[1])
            if not m or head[1].startswith('- '):
                if head[1].startswith('- ') or head[1] == '-':
                    return out
                self.fail('expected "key: value"')
            key, rest = scalar(m.group(1)), (m.group(2) or '').strip()
            key = m.group(1).strip() if not isinstance(key, str) else key
            self.i += 1
            if rest:
                out[key] = self.value(rest, indent)
                continue
            head = self.peek()
            if head is not None and (head[0] > indent or (head[0] == indent and (head[1] == '-' or head[1].startswith('- ')))):
                out[key] = self.node(head[0])
            else:
                out[key] = None

    def value(self, text, indent):
        if text[0] in '|>' and re.match(r'^[|>][-+]?$', text):
            return self.block(text, indent)
        if text[0] in '&*!':
            self.fail('anchors and tags are not read')
        if text[0] in '{[':
            while not _closed(text):               # a flow collection may span lines
                if self.i >= len(self.raw):
                    self.fail('unterminated %s' % text[0])
                text += ' ' + _strip_comment(self.raw[self.i].strip())
                self.i += 1
            out, rest = _flow(text)
            if rest.strip():
                self.fail('text after a flow collection')
            return out
        while True:                                # a plain scalar folds over deeper lines
            head = self.peek()
            if text[0] in '"\'' or head is None or head[0] <= indent:
                return scalar(text)
            text += ' ' + head[1]
            self.i += 1

    def block(self, style, indent):
        lines = []
        while self.i < len(self.raw):
            line = self.raw[self.i].rstrip('\r')
            if line.strip() and len(line) - len(line.lstrip(' ')) <= indent:
                break
            lines.append(line)
            self.i += 1
        depth = min((len(x) - len(x.lstrip(' ')) for x in lines if x.strip()), default=0)
        body = '\n'.join(x[depth:] for x in lines)
        if style[0] == '>':
            body = re.sub(r'(?<!\n)\n(?!\n)', ' ', body.rstrip('\n')) + '\n'
        kept = body.rstrip('\n')
        return kept if style.endswith('-') else kept + '\n'


def _closed(text):
    depth, quote = 0, ''
    for i, ch in enumerate(text):
        if quote:
            if ch == quote and text[i - 1] != '\\':
                quote = ''
        elif ch in '"\'':
            quote = ch
        else:
            depth += (ch in '{[') - (ch in '}]')
    return depth <= 0 and not quote


def _flow(s):
    """(value, rest) of a flow value at the start of s."""
    s = s.lstrip()
    if s[:1] in ('{', '['):
        opening, out, s = s[0], {} if s[0] == '{' else [], s[1:].lstrip()
        while s[:1] not in ('}', ']'):
            if not s:
                raise YamlError('unterminated flow collection')
            if opening == '{':
                m = re.match(r'''\s*("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^:,{}\[\]]+?)\s*:\s*''', s)
                if not m:
                    raise YamlError('bad flow map near %r' % s[:20])
                out[str(scalar(m.group(1)))], s = _flow(s[m.end():])
            else:
                item, s = _flow(s)
                out.append(item)
            s = s.lstrip()
            if s[:1] == ',':
                s = s[1:].lstrip()
        return out, s[1:]
    m = re.match(r'''("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,\]}]*)''', s)
    return scalar(m.group(1)), s[m.end():]
