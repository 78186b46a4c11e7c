//! What the demo prints: colours on a terminal only.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;

use super::client::REGION;
use super::story::Ids;

/// Standard output.
pub(super) struct Screen {
    colours: bool,
}

#[derive(Clone, Copy)]
enum Colour {
    Bold,
    Dim,
    Green,
    Red,
    Cyan,
}

impl Screen {
    pub(super) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            colours: wanted && io::stdout().is_terminal(),
        }
    }

    pub(super) fn title(&self, text: &str) {
        self.line(&self.paint(Colour::Bold, text));
    }

    /// A step of the story.
    pub(super) fn step(&self, number: usize, text: &str) {
        self.line("");
        self.line(&self.paint(Colour::Bold, &format!("{number}. {text}")));
    }

    pub(super) fn note(&self, text: &str) {
        self.line(&format!("   {text}"));
    }

    /// Lines for a shell or an editor.
    pub(super) fn code(&self, text: &str) {
        for line in text.lines() {
            self.line(&self.paint(Colour::Cyan, &format!("     {line}")));
        }
    }

    /// A command of the AWS CLI.
    pub(super) fn command(&self, text: &str) {
        self.line(&self.paint(Colour::Cyan, &format!("   $ {text}")));
    }

    /// What a call answered.
    pub(super) fn success(&self, text: &str) {
        let line = format!("     {} {text}", self.paint(Colour::Green, "ok"));
        self.line(line.trim_end());
    }

    /// How a call failed, as it should.
    pub(super) fn refusal(&self, exception: &str, message: &str) {
        self.line(&format!(
            "     {} {}",
            self.paint(Colour::Red, exception),
            self.paint(Colour::Dim, message)
        ));
    }

    /// What to do next.
    pub(super) fn invitation(
        &self,
        environment: &str,
        address: SocketAddr,
        console: SocketAddr,
        ids: &Ids,
    ) {
        let Ids {
            store,
            key_arn,
            ciphertext,
        } = ids;
        self.line("");
        self.title("Your turn");
        self.note(&format!("Console           http://{console}/"));
        self.note(&format!("Endpoint          http://{address}"));
        self.note(&format!("Region            {REGION}"));
        self.note(&format!("Custom key store  {store} (CONNECTED)"));
        self.note(&format!("KMS key           {key_arn}"));
        self.line("");
        self.note("AWS CLI:");
        self.code(environment);
        self.code(&format!(
            "aws kms decrypt --ciphertext-blob fileb://<(echo {ciphertext} | base64 -d) \
             --encryption-context purpose=demo --query Plaintext --output text | base64 -d; echo\n\
             aws kms disconnect-custom-key-store --custom-key-store-id {store}\n\
             aws kms describe-custom-key-stores\n\
             aws kms encrypt --key-id {key_arn} --plaintext fileb://<(printf hello)\n\
             aws kms connect-custom-key-store --custom-key-store-id {store}"
        ));
        self.line("");
        self.note("boto3:");
        self.code(&format!(
            "import boto3\n\
             kms = boto3.client('kms', endpoint_url='http://{address}', region_name='{REGION}',\n\
             \x20                  aws_access_key_id='test', aws_secret_access_key='test')\n\
             kms.encrypt(KeyId='{key_arn}', Plaintext=b'hello')\n\
             kms.disconnect_custom_key_store(CustomKeyStoreId='{store}')\n\
             kms.encrypt(KeyId='{key_arn}', Plaintext=b'hello')  # KMSInvalidStateException"
        ));
        self.line("");
    }

    fn paint(&self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Bold => 1,
            Colour::Dim => 2,
            Colour::Green => 32,
            Colour::Red => 31,
            Colour::Cyan => 36,
        };
        match self.colours {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    fn line(&self, text: &str) {
        // A closed pipe must not end the demo before its proxy is ended.
        let _ = writeln!(io::stdout(), "{text}");
    }
}
