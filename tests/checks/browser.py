"""A browser for checks of pages: Debian's chromium, without a window.

It is told what to do through its DevTools protocol over a pipe: one JSON object after the other,
each ended by a NUL.
"""
import base64
import itertools
import json
import os
import select
import subprocess
import time

LONGEST = 120                   # seconds that anything may take


class Browser:
    """chromium without a window, with one page."""

    def __init__(self, folder, width=1500, height=1000, dark=False):
        to_read, self.commands = os.pipe()
        self.answers, to_write = os.pipe()

        def give_pipe():                        # it reads 3 and writes 4
            os.dup2(to_read, 103), os.dup2(to_write, 104)
            os.dup2(103, 3), os.dup2(104, 4)

        self.process = subprocess.Popen(
            ['chromium', '--headless=new', '--no-sandbox', '--remote-debugging-pipe',
             '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--hide-scrollbars',
             f'--user-data-dir={folder}/browser', f'--window-size={width},{height}',
             'about:blank'],
            preexec_fn=give_pipe, close_fds=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read), os.close(to_write)
        self.numbers, self.read, self.session = itertools.count(1), b'', None
        self.errors = []
        targets = self.tell('Target.getTargets')['targetInfos']
        page = next(t['targetId'] for t in targets if t['type'] == 'page')
        self.session = self.tell('Target.attachToTarget', targetId=page, flatten=True)['sessionId']
        self.tell('Page.enable'), self.tell('Runtime.enable'), self.tell('Log.enable')
        self.tell('Emulation.setDeviceMetricsOverride', width=width, height=height,
                  deviceScaleFactor=1, mobile=False)
        self.tell('Emulation.setEmulatedMedia', features=[
            {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])

    def tell(self, method, **params):
        number = next(self.numbers)
        message = {'id': number, 'method': method, 'params': params}
        if self.session:
            message['sessionId'] = self.session
        os.write(self.commands, json.dumps(message).encode() + b'\0')
        while True:
            answer = self.next_message()
            if answer.get('method') in ('Runtime.exceptionThrown', 'Log.entryAdded'):
                self.errors.append(json.dumps(answer['params'])[:500])
            if answer.get('id') == number:
                if 'error' in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer['result']

    def next_message(self):
        while b'\0' not in self.read:
            if not select.select([self.answers], [], [], LONGEST)[0]:
                raise RuntimeError('chromium does not answer')
            data = os.read(self.answers, 1 << 20)
            if not data:
                raise RuntimeError('chromium ended')
            self.read += data
        message, _, self.read = self.read.partition(b'\0')
        return json.loads(message)

    def value(self, script):
        """What an expression of JavaScript gives; a promise is waited for."""
        got = self.tell('Runtime.evaluate', expression=script, returnByValue=True,
                        awaitPromise=True, userGesture=True)
        if 'exceptionDetails' in got:
            raise RuntimeError(f"{script}: {json.dumps(got['exceptionDetails'])[:500]}")
        return got['result'].get('value')

    def wait(self, script, seconds=LONGEST):
        """Until it is true. Gives whether it came to be."""
        end = time.monotonic() + seconds
        while not self.value(f'!!({script})'):
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def click(self, selector, nth=0):
        """With the mouse, in its middle."""
        x, y = self.value(f"""(() => {{
            const e = document.querySelectorAll({json.dumps(selector)})[{nth}];
            e.scrollIntoView({{block: 'nearest'}});
            const r = e.getBoundingClientRect();
            return [r.x + r.width / 2, r.y + r.height / 2]; }})()""")
        for kind in ('mousePressed', 'mouseReleased'):
            self.tell('Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left', clickCount=1)

    def press(self, key, text=''):
        for kind in ('keyDown', 'keyUp'):
            self.tell('Input.dispatchKeyEvent', type=kind, key=key, text=text if kind == 'keyDown'
                      else '', windowsVirtualKeyCode={'Enter': 13}.get(key, 0))

    def screenshot(self, file, scale):
        width, height = self.value('[innerWidth, innerHeight]')
        clip = {'x': 0, 'y': 0, 'width': width, 'height': height, 'scale': scale}
        data = self.tell('Page.captureScreenshot', format='png', clip=clip)['data']
        with open(file, 'wb') as f:
            f.write(base64.b64decode(data))

    def open(self, address, until):
        """Goes there. Gives whether the expression `until` came to be true."""
        self.tell('Page.navigate', url=address)
        return self.wait(until)

    def end(self):
        self.process.terminate()
        self.process.wait(LONGEST)
        os.close(self.commands), os.close(self.answers)
